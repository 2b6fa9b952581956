"""A model server on loopback that speaks TensorFlow Serving's REST protocol."""
