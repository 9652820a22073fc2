"""Pickles of NumPy's arrays and of one of SciPy's matrices, and the arrays as `.npz`.

    python arrays.py

`arrays2.pkl` is of protocol 2, where bytes are texts, `arrays4.pkl` of protocol 4.
"""

import pickle

import numpy as np
import scipy.sparse

TYPES = ["?", "u1", "i1", "<i2", ">i2", "<i4", ">i4", "<i8", "<f2", "<f4", ">f4", "<f8", ">f8"]


def main():
    whole = {code: (np.arange(24).reshape(2, 3, 4) * 11 % 127).astype(code) for code in TYPES}
    arrays = {code.replace("<", "").replace(">", "big_"): array for code, array in whole.items()}
    arrays |= {
        "fortran": np.asfortranarray(whole["<f4"]),
        "fortran_big": np.asfortranarray(whole[">i4"]),
        "scalar": np.array(2.5),
        "empty": np.zeros((0, 3), np.float32),
    }
    matrix = scipy.sparse.csr_matrix(np.array([[0, 1.5, 0], [0, 0, 0], [2, 0, -3]], np.float32))
    twice = arrays["f4"]
    content = {"arrays": arrays, "matrix": matrix, "same": [twice, twice], "type": np.dtype(">i4")}
    for protocol in (2, 4):
        with open(f"arrays{protocol}.pkl", "wb") as file:
            pickle.dump(content, file, protocol=protocol)
    np.savez("arrays.npz", **{name: np.asarray(array).astype(array.dtype.newbyteorder("<")) for name, array in arrays.items()})


if __name__ == "__main__":
    main()
