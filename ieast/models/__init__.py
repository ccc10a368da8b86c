"""Networks: encoder φ, style-attentional transform T, decoder D, discriminator, projection heads."""
