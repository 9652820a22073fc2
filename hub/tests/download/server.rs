//! A server on this machine: one thread for each connection, one request for each connection, every request logged.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// Longer than any test takes: what waits longer has failed.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// With the query.
    pub(crate) path: String,
    headers: Vec<(String, String)>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Where the range begins that is asked for.
    pub(crate) fn range(&self) -> Option<usize> {
        let from = self.header("range")?.strip_prefix("bytes=")?.strip_suffix('-')?;
        from.parse().ok()
    }
}

/// Opens once.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub(crate) fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    fn wait(&self) {
        let closed = self.0.0.lock().unwrap();
        drop(
            self.0
                .1
                .wait_timeout_while(closed, PATIENCE, |open| !*open)
                .unwrap(),
        );
    }
}

pub(crate) struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// How much of the body is sent, and what is waited for then.
    cut: Option<(usize, Option<Gate>)>,
}

impl Reply {
    pub(crate) fn new(status: u16) -> Reply {
        Reply {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            cut: None,
        }
    }

    pub(crate) fn header(mut self, name: &str, value: impl ToString) -> Reply {
        self.headers.push((name.to_string(), value.to_string()));
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Reply {
        self.body = body.into();
        let length = self.body.len();
        self.header("Content-Length", length)
    }

    /// A body whose length is not said beforehand.
    pub(crate) fn chunked(mut self, body: impl Into<Vec<u8>>) -> Reply {
        let body = body.into();
        self.body = format!("{:x}\r\n", body.len()).into_bytes();
        self.body.extend(body);
        self.body.extend(b"\r\n0\r\n\r\n");
        self.header("Transfer-Encoding", "chunked")
    }

    /// The content, or the rest of it from where the request says.
    pub(crate) fn content(request: &Request, content: &[u8]) -> Reply {
        match request.range() {
            Some(from) if from >= content.len() => Reply::new(416),
            Some(from) => {
                let range = format!("bytes {from}-{}/{}", content.len() - 1, content.len());
                Reply::new(206)
                    .header("Content-Range", range)
                    .body(&content[from..])
            }
            None => Reply::new(200).body(content),
        }
    }

    /// Closes the connection after `sent` bytes of the body.
    pub(crate) fn cut(mut self, sent: usize) -> Reply {
        self.cut = Some((sent, None));
        self
    }

    /// Falls silent after `sent` bytes of the body until the gate opens, then sends the rest.
    pub(crate) fn hold(mut self, sent: usize, gate: &Gate) -> Reply {
        self.cut = Some((sent, Some(gate.clone())));
        self
    }

    fn send(self, stream: &mut TcpStream, head_only: bool) -> std::io::Result<()> {
        let mut head = format!("HTTP/1.1 {} Status\r\nConnection: close\r\n", self.status);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if self.body.is_empty() && !self.headers.iter().any(|(name, _)| name == "Content-Length") {
            // Nothing else follows.
            head.push_str("Content-Length: 0\r\n");
        }
        stream.write_all(format!("{head}\r\n").as_bytes())?;
        if head_only {
            return Ok(());
        }
        let (sent, gate) = self.cut.unwrap_or((self.body.len(), None));
        stream.write_all(&self.body[..sent])?;
        stream.flush()?;
        if let Some(gate) = gate {
            gate.wait();
            stream.write_all(&self.body[sent..])?;
        }
        Ok(())
    }
}

type Handler = dyn Fn(&Request, usize) -> Reply + Send + Sync;

struct Shared {
    handler: Box<Handler>,
    log: Mutex<(Vec<Request>, bool)>,
    logged: Condvar,
}

pub(crate) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Server {
    /// The handler gets each request and how many came before with the same method and path.
    pub(crate) fn start(handler: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            handler: Box::new(handler),
            log: Mutex::default(),
            logged: Condvar::new(),
        });
        let server = Server {
            address,
            shared: shared.clone(),
        };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if shared.log.lock().unwrap().1 {
                    return;
                }
                let shared = shared.clone();
                // A client that hangs up, or is killed, is no fault of the server.
                std::thread::spawn(move || drop(answer(&shared, stream)));
            }
        });
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.log.lock().unwrap().0.clone()
    }

    /// The requests as `METHOD PATH`, without queries.
    pub(crate) fn lines(&self) -> Vec<String> {
        let line = |r: &Request| format!("{} {}", r.method, r.path.split('?').next().unwrap());
        self.requests().iter().map(line).collect()
    }

    /// Waits until `count` requests of this method have come.
    pub(crate) fn wait_for(&self, method: &str, count: usize) {
        let log = self.shared.log.lock().unwrap();
        let missing =
            |(log, _): &mut (Vec<Request>, bool)| log.iter().filter(|r| r.method == method).count() < count;
        let (_log, waited) = self
            .shared
            .logged
            .wait_timeout_while(log, PATIENCE, missing)
            .unwrap();
        assert!(!waited.timed_out(), "{count} {method} did not come");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.log.lock().unwrap().1 = true;
        // The listener looks up once more.
        drop(TcpStream::connect(self.address));
    }
}

fn answer(shared: &Shared, mut stream: TcpStream) -> std::io::Result<()> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte)? == 0 {
            return Ok(());
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head);
    let mut lines = head.lines();
    let mut words = lines.next().unwrap_or_default().split(' ').map(str::to_string);
    let request = Request {
        method: words.next().unwrap_or_default(),
        path: words.next().unwrap_or_default(),
        headers: lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect(),
    };
    let earlier = {
        let mut log = shared.log.lock().unwrap();
        let same = |r: &&Request| r.method == request.method && r.path == request.path;
        let earlier = log.0.iter().filter(same).count();
        log.0.push(request.clone());
        earlier
    };
    shared.logged.notify_all();
    (shared.handler)(&request, earlier).send(&mut stream, request.method == "HEAD")
}
