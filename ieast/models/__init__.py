"""Networks: encoder, decoder, discriminator, projection heads, and student and teacher of distillation."""
