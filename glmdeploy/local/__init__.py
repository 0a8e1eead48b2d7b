"""A cloud in a box: Modal's control plane, its containers, a gateway, a model hub and a stand-in for the engine."""
