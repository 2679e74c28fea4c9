"""The only room that imports TensorFlow: MobileNetV2, its weights and conversion, the Siamese encoders,
and how they are trained.
"""
