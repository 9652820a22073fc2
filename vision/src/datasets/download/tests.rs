//! Downloads from a server on this machine, and archives with bad names.

use std::io::{Cursor, Write};
use std::time::Duration;

use flambeau_data::Dataset;
use zip::write::{SimpleFileOptions, ZipWriter};

use super::*;
use crate::datasets::{Split, cifar10, emnist};

/// The server that the downloads of `hub` are tested with.
#[path = "../../../../hub/tests/download/server.rs"]
#[allow(dead_code)]
mod server;
use server::{Reply, Server};

fn hub(folder: &Path) -> Hub {
    let builder = Hub::builder(folder.join("cache")).timeout(Duration::from_secs(60));
    builder.backoff(Duration::ZERO).build().unwrap()
}

fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        archive.start_file(*name, SimpleFileOptions::default()).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// Headers of the ustar format, each with its data.
fn tar(files: &[(&str, u8, &[u8])]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (name, kind, data) in files {
        let mut header = [0; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[124..135].copy_from_slice(format!("{:011o}", data.len()).as_bytes());
        header[148..156].fill(b' ');
        header[156] = *kind;
        header[257..265].copy_from_slice(b"ustar\x0000");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        archive.extend(header);
        archive.extend(*data);
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
    archive.resize(archive.len() + 1024, 0);
    archive
}

/// A plan of one archive, which the server has.
fn plan(name: &'static str, md5: &'static str, unpack: (&'static str, &'static str)) -> Plan {
    Plan {
        files: vec![Remote {
            base: "http://127.0.0.1:9/",
            name,
            md5,
        }],
        folder: unpack.0,
        unpack: Some(unpack),
    }
}

/// MD5, which only `hub` knows: the digits are in the error of a wrong one.
fn md5_of(bytes: &[u8]) -> &'static str {
    let content = bytes.to_vec();
    let server = Server::start(move |request, _| Reply::content(request, &content));
    let folder = tempfile::tempdir().unwrap();
    let wrong = Checksum::Md5("0".repeat(32));
    let error = hub(folder.path())
        .download(&server.url(), folder.path().join("x"), &wrong)
        .unwrap_err()
        .to_string();
    let digits = error
        .split("what arrived is ")
        .nth(1)
        .and_then(|rest| rest.get(..32))
        .unwrap();
    digits.to_string().leak()
}

#[test]
fn archives_are_got_unpacked_and_read() {
    let record: Vec<u8> = std::iter::once(3).chain([7; 3072]).collect();
    let batches = tar(&[
        ("cifar-10-batches-bin/", b'5', b""),
        ("cifar-10-batches-bin/test_batch.bin", b'0', &record),
    ]);
    let idx = |sizes: &[u8], elements: &[u8]| {
        let mut bytes = vec![0, 0, 8, sizes.len() as u8];
        sizes.iter().for_each(|&size| bytes.extend([0, 0, 0, size]));
        bytes.extend(elements);
        bytes
    };
    let letters = zip(&[
        (
            "gzip/emnist-letters-test-images-idx3-ubyte.gz",
            &idx(&[1, 2, 2], &[1, 2, 3, 4]),
        ),
        ("gzip/emnist-letters-test-labels-idx1-ubyte.gz", &idx(&[1], &[26])),
        ("elsewhere/x", b"not wanted"),
    ]);
    let (cifar_md5, emnist_md5) = (md5_of(&batches), md5_of(&letters));
    let server = Server::start(move |request, _| match request.path.as_str() {
        "/data/cifar.tar" => Reply::content(request, &batches),
        "/data/gzip.zip" => Reply::content(request, &letters),
        _ => Reply::new(404),
    });
    let mirror = format!("{}/data/", server.url());
    let root = tempfile::tempdir().unwrap();
    let hub = hub(root.path());
    for _ in 0..2 {
        let cifar = plan("cifar.tar", cifar_md5, ("", ""));
        cifar.carry_out(&hub, root.path(), Some(&mirror)).unwrap();
        let emnist = plan("gzip.zip", emnist_md5, ("EMNIST/raw", "gzip"));
        emnist.carry_out(&hub, root.path(), Some(&mirror)).unwrap();
    }
    assert_eq!(
        server
            .lines()
            .iter()
            .filter(|line| line.starts_with("GET"))
            .count(),
        2
    );
    assert_eq!(cifar10(root.path(), Split::Test).unwrap().get(0).unwrap().1, 3);
    let letters = emnist(root.path(), crate::datasets::EmnistSplit::Letters, Split::Test).unwrap();
    assert_eq!(letters.classes()[letters.get(0).unwrap().1 as usize], "z");
    assert!(!root.path().join("EMNIST/raw/x").exists());
}

#[test]
fn names_stay_inside_of_the_folder() {
    assert_eq!(inside("./a/b", "").unwrap().unwrap(), Path::new("a/b"));
    assert_eq!(inside("gzip/a", "gzip").unwrap().unwrap(), Path::new("a"));
    assert_eq!(inside("gzipped/a", "gzip").unwrap(), None);
    for name in ["../a", "a/../../b", "/etc/passwd", "a\\..\\b", "C:a"] {
        assert!(inside(name, "").is_err(), "{name}");
    }
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("inner");
    for (name, bytes) in [
        ("x.tar", tar(&[("../evil", b'0', b"!")])),
        ("x.zip", zip(&[("../evil", b"!")])),
    ] {
        let path = root.path().join(name);
        fs::write(&path, bytes).unwrap();
        let error = unpack(&path, "", &folder).unwrap_err().to_string();
        assert!(
            error.contains("\"../evil\" leads out of the archive's folder"),
            "{error}"
        );
    }
    assert!(!root.path().join("evil").exists());
    // A link is not made, so that nothing can be written through it.
    let path = root.path().join("link.tar");
    fs::write(&path, tar(&[("out", b'2', b""), ("out/x", b'0', b"1")])).unwrap();
    unpack(&path, "", &folder).unwrap();
    assert!(folder.join("out").is_dir() && !folder.join("out").is_symlink());
}

#[test]
fn what_arrives_is_checked() {
    let server = Server::start(|request, _| Reply::content(request, b"not MNIST"));
    let root = tempfile::tempdir().unwrap();
    let error = Archive::Mnist
        .download_by(&hub(root.path()), root.path(), Some(&server.url()))
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("that of the file is f68b3c2dcbeaaa9fbdd348bbdeb94873"),
        "{error}"
    );
    assert_eq!(fs::read_dir(root.path().join("MNIST/raw")).unwrap().count(), 0);
    for archive in [
        Archive::FashionMnist,
        Archive::Kmnist,
        Archive::Emnist,
        Archive::Cifar10,
        Archive::Cifar100,
        Archive::Svhn(SvhnSplit::Train),
        Archive::Svhn(SvhnSplit::Test),
        Archive::Svhn(SvhnSplit::Extra),
        Archive::OxfordIIITPet,
        Archive::Voc2012,
        Archive::Voc2007,
        Archive::Voc2007Test,
    ] {
        let error = archive
            .download_by(&hub(root.path()), root.path(), Some(&server.url()))
            .unwrap_err();
        assert!(
            error.to_string().contains("the MD5 of what arrived is "),
            "{archive:?}: {error}"
        );
    }
}
