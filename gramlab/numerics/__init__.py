"""Numbers to rely on: certificates, what rounding costs, and what is the same on every machine."""
