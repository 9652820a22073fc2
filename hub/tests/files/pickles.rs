//! Pickles that are files of their own: NumPy's arrays and SciPy's matrices.

use flambeau_hub::{Value, pickle};
use flambeau_tensor::io::npz;
use flambeau_tensor::{DType, Error};

use super::{bytes, golden};

#[test]
fn arrays_are_those_of_numpy() {
    let expected = npz::read(golden("arrays.npz")).unwrap();
    for file in ["arrays2.pkl", "arrays4.pkl"] {
        let value = pickle::load(golden(file)).unwrap();
        let arrays = value.get("arrays").and_then(Value::as_dict).unwrap();
        assert_eq!(arrays.len(), expected.len());
        for (name, array) in arrays {
            let (array, expected) = (array.as_tensor().unwrap(), &expected[&name.to_string()]);
            let what = format!("{file}: {name}");
            assert_eq!(
                (array.dtype(), array.shape()),
                (expected.dtype(), expected.shape()),
                "{what}"
            );
            assert_eq!(bytes(array), bytes(expected), "{what}");
        }
        let matrix = value.get("matrix").unwrap();
        let part = |name: &str| matrix.get(name).and_then(Value::as_tensor).unwrap();
        assert_eq!(part("data").to_vec::<f32>().unwrap(), [1.5, 2.0, -3.0]);
        assert_eq!(part("indices").to_vec::<i32>().unwrap(), [1, 0, 2]);
        assert_eq!(part("indptr").to_vec::<i32>().unwrap(), [0, 1, 1, 3]);
        let shape = matrix.get("_shape").and_then(Value::as_list).unwrap();
        assert_eq!(shape.iter().filter_map(Value::as_i64).collect::<Vec<_>>(), [3, 3]);
        assert!(matches!(value.get("type"), Some(Value::DType(DType::I32))));
    }
}

/// `(version, shape, type, is_fortran, bytes)` for an array on the stack.
fn array(shape: &[u8], code: &[u8], order: &[u8], fortran: u8, elements: &[u8]) -> Vec<u8> {
    let text = |text: &[u8]| [&[b'U', text.len() as u8], text].concat();
    [
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR(K\x01(",
        shape,
        b"tcnumpy\ndtype\n(",
        &text(code),
        b"K\x00K\x01tR(K\x03",
        &text(order),
        b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb",
        &[fortran],
        elements,
        b"tb.",
    ]
    .concat()
}

fn refused(bytes: &[u8]) -> String {
    match pickle::from_bytes(bytes) {
        Err(Error::Format(text) | Error::Unsupported(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn hostile_arrays_are_errors() {
    let four = b"U\x04abcd";
    let read = pickle::from_bytes(&array(b"K\x02", b"i2", b">", 0x89, four)).unwrap();
    assert_eq!(
        read.as_tensor().unwrap().to_vec::<i16>().unwrap(),
        [0x6162, 0x6364]
    );
    let huge = b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f";
    let cases: [(Vec<u8>, &str); 13] = [
        (
            array(b"K\x03", b"i2", b"<", 0x89, four),
            "shape [3] and type int16 with 4 bytes",
        ),
        (
            array(b"K\x01", b"i2", b"<", 0x89, four),
            "shape [1] and type int16 with 4 bytes",
        ),
        (
            array(&huge.repeat(2), b"i2", b"<", 0x89, four),
            "and type int16 with 4 bytes",
        ),
        (
            array(b"J\xff\xff\xff\xff", b"i2", b"<", 0x89, four),
            "-1 as a size",
        ),
        (
            array(&b"K\x01".repeat(65), b"i2", b"<", 0x89, four),
            "an array of 65 sizes",
        ),
        (
            array(b"K\x02", b"O8", b"|", 0x89, four),
            "an array of NumPy's type \"O8\"",
        ),
        (
            array(b"K\x02", b"i2", b"?", 0x89, four),
            "an array with the order of bytes \"?\"",
        ),
        (
            array(b"K\x02", b"i2", b"<", b'N', four),
            "other attributes than NumPy's",
        ),
        (
            array(b"K\x02", b"i2", b"<", 0x89, b"]"),
            "an array whose elements are an object",
        ),
        (
            b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR.".to_vec(),
            "an array without attributes",
        ),
        (
            b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncos\nsystem\nR.".to_vec(),
            "`os.system`",
        ),
        (
            b"\x80\x02cscipy.sparse.csr\ncsr_matrix\n)\x81Nb.".to_vec(),
            "attributes of a matrix that are None",
        ),
        (
            b"\x80\x02cnumpy\ndtype\nU\x02i4\x85R)b.".to_vec(),
            "without an order of bytes",
        ),
    ];
    for (bytes, expected) in cases {
        let error = refused(&bytes);
        assert!(error.contains(expected), "{error}");
    }
    // A matrix that is among its own attributes has no end.
    let own = b"\x80\x02cscipy.sparse.csr\ncsr_matrix\n)\x81q\x00}U\x01ah\x00sb.";
    assert!(refused(own).contains("nested in 100 levels or more, or within itself"));
    // A tensor of PyTorch's names a storage, which is nowhere.
    let tensor = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuK\x01tQK\x00K\x01\x85K\x01\x85\x89}tR.";
    assert!(
        refused(tensor).contains("whose elements are not in the pickle"),
        "{}",
        refused(tensor)
    );
}

#[test]
fn arrays_that_share_their_bytes_do_not_multiply() {
    // 60 kB of elements in the memo, of which each array takes 12 bytes more.
    let elements = [&b"T\x60\xea\x00\x00"[..], &[1; 60_000]].concat();
    let first = array(
        b"M\x60\xea",
        b"u1",
        b"|",
        0x89,
        &[&elements[..], b"q\x05"].concat(),
    );
    let head = &first[2..first.len() - 1];
    let kind =
        b"cnumpy\ndtype\n(U\x02u1K\x00K\x01tRq\x06(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb0";
    let more = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR(K\x01M\x60\xea\x85h\x06\x89h\x05tb";
    let all = [b"\x80\x02]", &kind[..], b"(", head, &more.repeat(1000), b"e."].concat();
    let error = refused(&all);
    assert!(error.contains("many times larger than the file"), "{error}");
    let few = [b"\x80\x02]", &kind[..], b"(", head, &more.repeat(2), b"e."].concat();
    assert_eq!(pickle::from_bytes(&few).unwrap().as_list().unwrap().len(), 3);
}
