"""Networks: architectures, their file, and several of them as one."""
