//! Files that were made to harm. Each is an error that says what is wrong, and where.

use std::io::{Cursor, Write};

use flambeau_hub::{gguf, load, pt};
use flambeau_tensor::{Error, Result};
use zip::CompressionMethod;
use zip::write::{SimpleFileOptions, ZipWriter};

use super::Folder;

/// A pickle from instructions. A text stands for a `BINUNICODE` of it where it begins with an apostrophe.
fn pickle(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = b"\x80\x02".to_vec();
    for part in parts {
        match part.strip_prefix(b"'") {
            Some(text) => {
                bytes.push(b'X');
                bytes.extend((text.len() as u32).to_le_bytes());
                bytes.extend(text);
            }
            None => bytes.extend(*part),
        }
    }
    bytes.push(b'.');
    bytes
}

/// The call that makes a tensor, with everything in decimal LONG1 of eight bytes.
fn tensor(key: &str, numel: i64, offset: i64, shape: &[i64], strides: &[i64]) -> Vec<u8> {
    let long = |number: i64| [&b"\x8a\x08"[..], &number.to_le_bytes()].concat();
    let tuple = |numbers: &[i64]| {
        let inner: Vec<u8> = numbers.iter().flat_map(|&number| long(number)).collect();
        [b"(", inner.as_slice(), b"t"].concat()
    };
    let text = |text: &str| [&b"X"[..], &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat();
    [
        b"ctorch._utils\n_rebuild_tensor_v2\n((".to_vec(),
        text("storage"),
        b"ctorch\nFloatStorage\n".to_vec(),
        text(key),
        text("cpu"),
        long(numel),
        b"tQ".to_vec(),
        long(offset),
        tuple(shape),
        tuple(strides),
        b"\x89ccollections\nOrderedDict\n)RtR".to_vec(),
    ]
    .concat()
}

/// A dictionary of one entry, `weight`.
fn weight(value: &[u8]) -> Vec<u8> {
    pickle(&[b"}", b"'weight", value, b"s"])
}

fn archive(entries: &[(&str, &[u8], CompressionMethod)]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes, method) in entries {
        let options = SimpleFileOptions::default().compression_method(*method);
        archive.start_file(*name, options).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

const STORED: CompressionMethod = CompressionMethod::Stored;

/// A file of the zip format with one storage `0` of four elements.
fn zip(pickle: &[u8]) -> Vec<u8> {
    archive(&[("a/data.pkl", pickle, STORED), ("a/data/0", &[0; 16], STORED)])
}

/// The message of the error.
fn refused<T: std::fmt::Debug>(result: Result<T>) -> String {
    match result {
        Err(Error::Format(text) | Error::Unsupported(text)) => text,
        other => panic!("{other:?}"),
    }
}

fn assert_refused(bytes: &[u8], parts: &[&str]) {
    let text = refused(pt::from_bytes(bytes));
    assert!(parts.iter().all(|part| text.contains(part)), "{text}");
}

#[test]
fn a_pickle_executes_nothing() {
    for (module, name) in [
        ("os", "system"),
        ("posix", "system"),
        ("builtins", "eval"),
        ("__builtin__", "exec"),
    ] {
        let global = format!("c{module}\n{name}\n");
        let call = pickle(&[global.as_bytes(), b"'touch /tmp/flambeau-was-here", b"\x85R"]);
        let name = format!("{}.{name}`", module.replace("__builtin__", "builtins"));
        assert_refused(&zip(&call), &["data.pkl", &name, "nothing was executed"]);
    }
    let by_texts = pickle(&[b"'os", b"'system", b"\x93", b"'id", b"\x85R"]);
    assert_refused(&zip(&by_texts), &["`os.system`"]);
    // `__reduce__` by other instructions: INST, OBJ, NEWOBJ_EX.
    for bytes in [&b"(ios\nsystem\n"[..], b"(o", b"\x92"] {
        assert_refused(&zip(&pickle(&[bytes])), &["opcode"]);
    }
    // An allowed name that is not a function, called; attributes for one.
    assert_refused(&zip(&pickle(&[b"ctorch\nfloat32\n)R"])), &["DType"]);
    assert_refused(&zip(&pickle(&[b"ctorch\nSize\n}b"])), &["attributes"]);
    assert!(!std::path::Path::new("/tmp/flambeau-was-here").exists());
}

#[test]
fn a_bare_pickle_is_refused() {
    assert_refused(&weight(b"N"), &["not one of torch.save"]);
}

#[test]
fn claims_are_checked_before_memory_is_asked_for() {
    let zipped = |value: &[u8]| zip(&weight(value));
    let huge = 1i64 << 60;
    // A storage of 2^60 elements; a tensor of as many within a small storage, in one dimension, in several, by repeating.
    assert_refused(
        &zipped(&tensor("0", huge, 0, &[huge], &[1])),
        &["`weight`", "storage \"0\"", "16 bytes"],
    );
    assert_refused(
        &zipped(&tensor("0", i64::MAX, 0, &[4], &[1])),
        &["`weight`", "storage \"0\""],
    );
    assert_refused(
        &zipped(&tensor("0", 4, 0, &[huge], &[1])),
        &["`weight`", "4 elements"],
    );
    assert_refused(
        &zipped(&tensor("0", 4, 0, &[1 << 40, 1 << 40], &[0, 0])),
        &["`weight`", "4 elements"],
    );
    assert_refused(
        &zipped(&tensor("0", 4, 0, &[0, huge, huge], &[0, 0, 0])),
        &["`weight`", "4 elements"],
    );
    assert_refused(
        &zipped(&tensor("0", 4, 0, &[1 << 25], &[0])),
        &["`weight`", "4 elements"],
    );
    // Views that leave the storage.
    assert!(pt::from_bytes(&zipped(&tensor("0", 4, 1, &[3], &[1]))).is_ok());
    assert_refused(&zipped(&tensor("0", 4, 2, &[3], &[1])), &["`weight`", "leaves"]);
    assert_refused(&zipped(&tensor("0", 4, 0, &[2], &[4])), &["`weight`", "leaves"]);
    assert_refused(
        &zipped(&tensor("0", 4, i64::MAX, &[2], &[i64::MAX])),
        &["`weight`", "leaves"],
    );
    assert_refused(&zipped(&tensor("0", 4, -1, &[2], &[1])), &["-1 as a size"]);
    assert_refused(&zipped(&tensor("0", 4, 0, &[2], &[-1])), &["-1 as a size"]);
    assert_refused(
        &zipped(&tensor("0", 4, 0, &[2, 2], &[1])),
        &["2 sizes and 1 strides"],
    );
    assert_refused(
        &zipped(&tensor("../../etc/passwd", 4, 0, &[4], &[1])),
        &["no entry"],
    );

    let mut text = pickle(&[b"X\xff\xff\xff\xff"]);
    text.extend([0; 100]);
    assert_refused(&zip(&text), &["data.pkl", "4294967295 bytes"]);
}

#[test]
fn legacy_storages_are_checked_too() {
    let start = [
        pickle(&[b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19"]),
        pickle(&[b"M\xe9\x03"]),
        pickle(&[b"}"]),
    ]
    .concat();
    let file = |numel: i64, claimed: u64, bytes: usize| {
        let storages = [
            &pickle(&[b"]", b"'k", b"a"])[..],
            &claimed.to_le_bytes(),
            &vec![0; bytes],
        ]
        .concat();
        let call = tensor("k", numel, 0, &[numel], &[1]);
        // The legacy format has a sixth item.
        let at = call.windows(2).position(|pair| pair == b"tQ").unwrap();
        let call = [&call[..at], b"N", &call[at..]].concat();
        [&start[..], &weight(&call), &storages].concat()
    };
    assert!(pt::from_bytes(&file(4, 4, 16)).is_ok());
    assert_refused(&file(4, 5, 20), &["storage \"k\"", "5 elements where 4"]);
    assert_refused(&file(4, 4, 15), &["storage \"k\"", "15 bytes are left"]);
    assert_refused(
        &file(1 << 60, 1 << 60, 16),
        &["storage \"k\"", "16 bytes are left"],
    );
    assert_refused(&file(i64::MAX, i64::MAX as u64, 16), &["storage \"k\""]);
    assert_refused(&start, &["the pickle"]);
}

#[test]
fn zip_bombs_are_refused() {
    let zeros = vec![0; 1 << 24];
    let pickled = weight(&tensor("0", 1 << 22, 0, &[1 << 22], &[1]));
    let bomb = archive(&[
        ("a/data.pkl", &pickled, STORED),
        ("a/data/0", &zeros, CompressionMethod::Deflated),
    ]);
    assert!(bomb.len() < 20_000);
    assert_refused(&bomb, &["a/data/0", "compressed"]);
    // The pickle itself.
    let bomb = archive(&[("a/data.pkl", &zeros, CompressionMethod::Deflated)]);
    assert_refused(&bomb, &["a/data.pkl", "compressed"]);
}

/// Many entries of the directory that name the same bytes.
#[test]
fn entries_that_lie_upon_each_other_are_refused() {
    let pickled = weight(&tensor("0", 1024, 0, &[1024], &[1]));
    let (first, second) = ([7; 4096], [0; 1]);
    let mut bytes = archive(&[
        ("a/data.pkl", &pickled, STORED),
        ("a/data/0", &first, STORED),
        ("a/data/1", &second, STORED),
    ]);
    // Let the directory say of `1` that it is where `0` is, and as long.
    let entries: Vec<usize> = bytes
        .windows(4)
        .enumerate()
        .filter(|(_, window)| window == b"PK\x01\x02")
        .map(|(at, _)| at)
        .collect();
    let (zero, one) = (entries[1], entries[2]);
    for (from, length) in [(16, 12), (42, 4)] {
        bytes.copy_within(zero + from..zero + from + length, one + from);
    }
    let text = refused(pt::from_bytes(&bytes));
    assert!(
        text.contains("a/data/1") || text.to_lowercase().contains("overlap"),
        "{text}"
    );
}

#[test]
fn names_that_come_twice_are_refused() {
    let pickled = weight(b"N");
    let mut bytes = archive(&[("a/data.pkl", &pickled, STORED), ("b/data.pkl", &pickled, STORED)]);
    assert_refused(&bytes, &["data.pkl", "twice"]);
    while let Some(at) = bytes.windows(10).position(|window| window == b"b/data.pkl") {
        bytes[at] = b'a';
    }
    assert!(
        pt::from_bytes(&bytes).is_err()
            || pt::from_bytes(&bytes).is_ok_and(|value| value.get("weight").is_some())
    );
}

#[test]
fn an_altered_storage_is_found_out_by_its_checksum() {
    let mut bytes = zip(&weight(&tensor("0", 4, 0, &[4], &[1])));
    assert!(pt::from_bytes(&bytes).is_ok());
    let at = bytes.windows(16).position(|window| window == [0; 16]).unwrap();
    bytes[at] = 1;
    assert_refused(&bytes, &["`weight`", "storage \"0\"", "checksum"]);
}

#[test]
fn cycles_and_depth_are_refused() {
    // A list that holds itself; a dictionary under its own key.
    assert_refused(
        &zip(&pickle(&[b"]q\x00h\x00a"])),
        &["levels or more, or within itself"],
    );
    assert_refused(
        &zip(&pickle(&[b"}q\x00", b"'self", b"h\x00s"])),
        &["`self.self", "levels or more, or within itself"],
    );
    // A million levels, by nested tuples and by nested lists.
    let tuples = [&b"N"[..], &[0x85; 1_000_000]].concat();
    assert_refused(&zip(&pickle(&[&tuples])), &["levels"]);
    let lists = [&[b']'; 500_000][..], &[b'a'; 499_999]].concat();
    assert_refused(&zip(&pickle(&[&lists])), &["levels"]);
    // Within the limit.
    let tuples = [&b"N"[..], &[0x85; 99]].concat();
    assert!(pt::from_bytes(&zip(&pickle(&[&tuples]))).is_ok());
}

/// Each level has the one below ten times: forty levels would be 10^40 values.
#[test]
fn shared_objects_do_not_multiply() {
    let mut laughs = b"]q\x00".to_vec();
    for level in 0u8..40 {
        laughs.push(b'(');
        laughs.extend([b'h', level].repeat(10));
        laughs.extend([b'l', b'q', level + 1]);
    }
    assert_refused(&zip(&pickle(&[&laughs])), &["many times larger"]);

    // A long text in many places, as a value, as a key, and as bytes.
    let long = [b"'", &b"x".repeat(10_000)[..]].concat();
    let items = [&b"("[..], &b"h\x00".repeat(10_000), b"t"].concat();
    assert_refused(&zip(&pickle(&[&long, b"q\x00", &items])), &["many times larger"]);
    let encode = b"c_codecs\nencode\nq\x01h\x00X\x06\0\0\0latin1\x86R".repeat(10_000);
    assert_refused(&zip(&pickle(&[&long, b"q\x00", &encode])), &["copied too often"]);

    // Pairs of which a dictionary is made again and again.
    let pairs = [&b"]q\x00("[..], &b"K\x01K\x02\x86".repeat(10_000), b"e"].concat();
    let dicts = b"ccollections\nOrderedDict\nh\x00\x85R".repeat(10_000);
    assert_refused(&zip(&pickle(&[&pairs, &dicts])), &["copied too often"]);
}

#[test]
fn ill_formed_pickles_are_refused() {
    for (bytes, part) in [
        (&b""[..], "stack is empty"),
        (b"0", "stack is empty"),
        (b"(", "a mark came"),
        (b"t", "there is none"),
        (b"h\x05", "no value 5"),
        (b"NNNs", "no dictionary"),
        (b"NNa", "no list"),
        (b"}(Nu", "without a value"),
        (b"N\x86", "stack is empty"),
        (b"(N\x86", "stack is empty"),
        (b"NQ", "a tuple was expected"),
        (b"NNR", "a call of None"),
        (b"ccollections\nOrderedDict\nNR", "a tuple was expected"),
        (b"ctorch\nSize\n", "in place of a value"),
        (b"}NNs", "a key that is None"),
        (b"X\x01\0\0\0\xff", "not UTF-8"),
        (b"\x80\x09", "protocol 9"),
    ] {
        assert_refused(&zip(&pickle(&[bytes])), &["pt:", part]);
    }
    let recursive = pickle(&[b"ctorch._tensor\n_rebuild_from_type_v2\n(h\0"]);
    assert!(pt::from_bytes(&zip(&recursive)).is_err());
}

/// A GGUF file: the header, and what follows.
fn gguf_file(tensors: u64, metadata: u64, parts: &[&[u8]]) -> Vec<u8> {
    let header = [
        b"GGUF",
        &3u32.to_le_bytes()[..],
        &tensors.to_le_bytes(),
        &metadata.to_le_bytes(),
    ]
    .concat();
    [&header[..], &parts.concat()].concat()
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

fn gguf_tensor(name: &str, sizes: &[u64], kind: u32, offset: u64) -> Vec<u8> {
    let sizes: Vec<u8> = [&(sizes.len() as u32).to_le_bytes()[..]]
        .concat()
        .into_iter()
        .chain(sizes.iter().flat_map(|size| size.to_le_bytes()))
        .collect();
    [
        text(name),
        sizes,
        kind.to_le_bytes().to_vec(),
        offset.to_le_bytes().to_vec(),
    ]
    .concat()
}

#[test]
fn gguf_claims_are_checked() {
    let data = [0u8; 256];
    let one = |tensor: Vec<u8>| gguf_file(1, 0, &[&tensor, &data]);
    assert!(gguf::from_bytes(&one(gguf_tensor("w", &[4], 0, 0))).is_ok());
    let cases: Vec<(Vec<u8>, &[&str])> = vec![
        (one(gguf_tensor("w", &[1 << 60], 0, 0)), &["`w`"]),
        (
            one(gguf_tensor("w", &[1 << 32, 1 << 32], 0, 0)),
            &["`w`", "too large"],
        ),
        (one(gguf_tensor("w", &[1024], 0, 0)), &["`w`", "4096 bytes"]),
        (one(gguf_tensor("w", &[4], 0, u64::MAX - 31)), &["`w`"]),
        (one(gguf_tensor("w", &[4], 0, 7)), &["`w`", "multiple of 32"]),
        (one(gguf_tensor("w", &[33], 2, 0)), &["`w`", "blocks of 32"]),
        (one(gguf_tensor("w", &[4; 5], 0, 0)), &["`w`", "5 dimensions"]),
        (one(gguf_tensor("w", &[4], 99, 0)), &["`w`", "kind 99"]),
        (
            gguf_file(
                2,
                0,
                &[
                    &gguf_tensor("v", &[16], 0, 0),
                    &gguf_tensor("w", &[4], 0, 32),
                    &data,
                ],
            ),
            &["`v`", "`w`", "overlap"],
        ),
        (
            gguf_file(
                2,
                0,
                &[
                    &gguf_tensor("w", &[4], 0, 0),
                    &gguf_tensor("w", &[4], 0, 32),
                    &data,
                ],
            ),
            &["`w`", "twice"],
        ),
        (gguf_file(1 << 60, 0, &[&data]), &["entries are announced"]),
        (gguf_file(0, u64::MAX, &[&data]), &["entries are announced"]),
        (
            gguf_file(0, 1, &[&(1u64 << 60).to_le_bytes(), &data]),
            &["a text of"],
        ),
        (
            gguf_file(
                0,
                1,
                &[
                    &text("k"),
                    &9u32.to_le_bytes(),
                    &6u32.to_le_bytes(),
                    &(1u64 << 60).to_le_bytes(),
                    &data,
                ],
            ),
            &["`k`", "entries are announced"],
        ),
        (
            gguf_file(
                0,
                1,
                &[
                    &text("k"),
                    &9u32.to_le_bytes(),
                    &[9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0].repeat(10),
                    &data,
                ],
            ),
            &["`k`", "levels"],
        ),
        (
            gguf_file(
                0,
                1,
                &[&text("general.alignment"), &4u32.to_le_bytes(), &[0; 4], &data],
            ),
            &["alignment"],
        ),
        (b"GGUF\0\0\0\x03".to_vec(), &["big-endian"]),
        (b"GGUF\x01\0\0\0".to_vec(), &["version 1"]),
    ];
    for (bytes, parts) in cases {
        let text = refused(gguf::from_bytes(&bytes));
        assert!(
            text.starts_with("gguf: ") && parts.iter().all(|part| text.contains(part)),
            "{text}"
        );
    }
}

#[test]
fn indexes_of_shards_stay_in_their_folder() {
    let folder = Folder::new("indexes");
    let secret = Folder::new("secret");
    secret.write("s.safetensors", b"\x02\0\0\0\0\0\0\0{}");
    let elsewhere = secret.path("s.safetensors");
    let index = |shard: &str| format!("{{\"weight_map\": {{\"w\": {shard:?}}}}}");
    let outside = format!(
        "../{}/s.safetensors",
        secret.0.file_name().unwrap().to_str().unwrap()
    );
    for (name, json, parts) in [
        ("a.json", index(&outside), ["a.json", "same folder"]),
        (
            "b.json",
            index(elsewhere.to_str().unwrap()),
            ["b.json", "same folder"],
        ),
        ("c.json", index("c.json"), ["c.json", "not a checkpoint"]),
        (
            "d.json",
            "{\"weight_map\": {}}".to_string(),
            ["d.json", "no tensor"],
        ),
        (
            "e.json",
            "{\"weights\": 1}".to_string(),
            ["e.json", "not an index"],
        ),
        ("f.json", "{".repeat(100_000), ["f.json", "not an index"]),
    ] {
        let text = refused(load(folder.write(name, json)));
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
    }
    let missing = load(folder.write("g.json", index("none.safetensors"))).unwrap_err();
    assert!(
        matches!(&missing, Error::Io(text) if text.contains("none.safetensors")),
        "{missing}"
    );
    folder.write("empty.safetensors", b"\x02\0\0\0\0\0\0\0{}");
    let lacking = load(folder.write("h.json", index("empty.safetensors"))).unwrap_err();
    assert!(
        matches!(&lacking, Error::Key(text) if text.contains("`w`") && text.contains("empty.safetensors"))
    );
}

#[test]
fn what_is_no_checkpoint_is_refused() {
    let folder = Folder::new("no-checkpoint");
    for (name, bytes) in [
        ("empty", &b""[..]),
        ("text", b"hello"),
        ("zeros", &[0; 64]),
        ("zip", b"PK\x03\x04"),
    ] {
        let text = refused(load(folder.write(name, bytes)));
        assert!(text.contains(name), "{text}");
    }
    let error = load(folder.path("missing")).unwrap_err();
    assert!(
        matches!(&error, Error::Io(text) if text.contains("missing")),
        "{error}"
    );
    std::fs::create_dir(folder.path("folder")).unwrap();
    let error = load(folder.path("folder")).unwrap_err();
    assert!(
        matches!(&error, Error::Io(text) if text.contains("model.safetensors")),
        "{error}"
    );
}

#[cfg(unix)]
#[test]
fn links_and_pipes_are_refused() {
    let folder = Folder::new("links");
    std::os::unix::fs::symlink(folder.path("b"), folder.path("a")).unwrap();
    std::os::unix::fs::symlink(folder.path("a"), folder.path("b")).unwrap();
    let error = load(folder.path("a")).unwrap_err();
    assert!(
        matches!(&error, Error::Io(text) if text.contains("links")),
        "{error}"
    );
    let error = load("/dev/zero").unwrap_err();
    assert!(
        matches!(&error, Error::Io(text) if text.contains("/dev/zero: not a regular file")),
        "{error}"
    );
}
