"""What comes in and goes out: files, pictures, clips and videos."""
