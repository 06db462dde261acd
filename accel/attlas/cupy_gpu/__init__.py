"""The engine `cupy`: array programs over blocks of pairs, for CuPy arrays and, unchanged, for NumPy arrays."""
