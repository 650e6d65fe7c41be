"""The CA's gRPC services. The only package that imports grpc's server side."""
