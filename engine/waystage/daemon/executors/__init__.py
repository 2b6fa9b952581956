"""Where steps are called: in threads, in processes of their own, on a cluster.

Each executor takes a `Call` and answers it once; the engine knows nothing else of them.
"""
