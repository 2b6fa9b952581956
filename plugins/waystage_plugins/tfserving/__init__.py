"""TensorFlow Serving itself: its configuration, its REST and gRPC interfaces, its warm-up file."""
