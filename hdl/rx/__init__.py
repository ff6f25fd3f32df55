"""The receive path: packets off the wire in, frames in host memory out."""
