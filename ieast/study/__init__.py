"""The user study of the paper's section 4.3: laid out, asked on a web page, and scored."""
