"""What a generator is trained by: the six terms of Eq. 7 and those beside the paper, and their weighted sum with its switches.

A new term is a function in `functional`, a weight in `ieast.config.sections.LossWeights`, and a line in `objective`.
"""
