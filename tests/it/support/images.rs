//! Images that a test makes: tars entry by entry, layouts, and a registry on loopback that does as it is told.
use std::collections::HashMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri};
use sha2::{Digest as _, Sha256};

/// A tar, honest or not.
#[derive(Default)]
pub(crate) struct Tar(Vec<u8>);

impl Tar {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Any entry at all.
    pub(crate) fn entry(mut self, path: &str, kind: u8, mode: u32, link: &str, content: &[u8]) -> Self {
        let mut header = [0_u8; 512];
        let mut put = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
        let (path, link) = (path.as_bytes(), link.as_bytes());
        put(0, &path[..path.len().min(100)]);
        put(100, format!("{mode:07o}\0{:07o}\0{:07o}\0", 0, 0).as_bytes());
        put(124, format!("{:011o}\0{:011o}\0        ", content.len(), 1_700_000_000).as_bytes());
        put(156, &[kind]);
        put(157, &link[..link.len().min(100)]);
        put(257, b"ustar\x0000");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend_from_slice(&header);
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub(crate) fn dir(self, path: &str, mode: u32) -> Self {
        self.entry(path, b'5', mode, "", &[])
    }

    pub(crate) fn file(self, path: &str, mode: u32, content: &[u8]) -> Self {
        self.entry(path, b'0', mode, "", content)
    }

    pub(crate) fn symlink(self, path: &str, to: &str) -> Self {
        self.entry(path, b'2', 0o777, to, &[])
    }

    pub(crate) fn hard_link(self, path: &str, to: &str) -> Self {
        self.entry(path, b'1', 0o644, to, &[])
    }

    /// A shell with its usual tools: the machine's static busybox under some names.
    pub(crate) fn busybox(self) -> Self {
        let program = fs::read("/bin/busybox").expect("the package busybox-static is installed");
        let mut tar = self.dir("bin/", 0o755).file("bin/busybox", 0o755, &program);
        for name in
            ["sh", "cat", "ls", "id", "echo", "touch", "env", "stat", "rm", "mkdir", "test", "pwd", "find", "wc"]
        {
            tar = tar.hard_link(&format!("bin/{name}"), "bin/busybox");
        }
        tar
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.0.clone();
        bytes.resize(bytes.len() + 1024, 0);
        bytes
    }

    /// Packed with gzip.
    pub(crate) fn gzip(&self) -> Layer {
        let tar = self.bytes();
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(&tar).unwrap();
        Layer {
            kind: "application/vnd.oci.image.layer.v1.tar+gzip",
            diff_id: digest(&tar),
            bytes: packer.finish().unwrap(),
        }
    }

    /// Packed with zstd.
    pub(crate) fn zstd(&self) -> Layer {
        let tar = self.bytes();
        let level = ruzstd::encoding::CompressionLevel::Fastest;
        Layer {
            kind: "application/vnd.oci.image.layer.v1.tar+zstd",
            diff_id: digest(&tar),
            bytes: ruzstd::encoding::compress_to_vec(tar.as_slice(), level),
        }
    }

    /// As it is.
    pub(crate) fn plain(&self) -> Layer {
        let tar = self.bytes();
        Layer { kind: "application/vnd.oci.image.layer.v1.tar", diff_id: digest(&tar), bytes: tar }
    }
}

/// A layer as it is downloaded.
#[derive(Clone)]
pub(crate) struct Layer {
    pub(crate) kind: &'static str,
    pub(crate) diff_id: String,
    pub(crate) bytes: Vec<u8>,
}

impl Layer {
    pub(crate) fn digest(&self) -> String {
        digest(&self.bytes)
    }
}

pub(crate) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

pub(crate) const ARCHITECTURE: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };

/// An image: layers and what its config says.
#[derive(Clone)]
pub(crate) struct Image {
    pub(crate) layers: Vec<Layer>,
    pub(crate) config: serde_json::Value,
    pub(crate) architecture: &'static str,
}

impl Image {
    pub(crate) fn new(layers: Vec<Layer>) -> Self {
        Self { layers, config: serde_json::json!({}), architecture: ARCHITECTURE }
    }

    /// A shell and nothing else.
    pub(crate) fn busybox() -> Self {
        let tar = Tar::new().dir("etc/", 0o755).dir("root/", 0o700).busybox();
        let passwd = "root:x:0:0:root:/root:/bin/sh\nnode:x:1000:1001::/home/node:/bin/sh\n";
        Self::new(vec![tar.file("etc/passwd", 0o644, passwd.as_bytes()).gzip()])
    }

    pub(crate) fn layer(mut self, layer: Layer) -> Self {
        self.layers.push(layer);
        self
    }

    pub(crate) fn config(mut self, config: serde_json::Value) -> Self {
        self.config = config;
        self
    }

    fn config_bytes(&self) -> Vec<u8> {
        let diff_ids: Vec<&str> = self.layers.iter().map(|layer| layer.diff_id.as_str()).collect();
        let config = serde_json::json!({
            "architecture": self.architecture, "os": "linux", "config": self.config,
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        config.to_string().into_bytes()
    }

    pub(crate) fn manifest(&self) -> Vec<u8> {
        let config = self.config_bytes();
        let layers = self.layers.iter().map(
            |layer| serde_json::json!({ "mediaType": layer.kind, "digest": layer.digest(), "size": layer.bytes.len() }),
        );
        let layers: Vec<_> = layers.collect();
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(&config), "size": config.len() },
            "layers": layers,
        });
        manifest.to_string().into_bytes()
    }

    /// Everything but the manifest.
    pub(crate) fn blobs(&self) -> Vec<Vec<u8>> {
        self.layers.iter().map(|layer| layer.bytes.clone()).chain([self.config_bytes()]).collect()
    }

    /// Writes an OCI layout.
    pub(crate) fn layout(&self, dir: &Path) {
        let blobs = dir.join("blobs/sha256");
        fs::create_dir_all(&blobs).unwrap();
        let manifest = self.manifest();
        for blob in self.blobs().iter().chain([&manifest]) {
            fs::write(blobs.join(digest(blob).trim_start_matches("sha256:")), blob).unwrap();
        }
        fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        let one = serde_json::json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest(&manifest), "size": manifest.len(),
        });
        fs::write(dir.join("index.json"), serde_json::json!({ "schemaVersion": 2, "manifests": [one] }).to_string())
            .unwrap();
    }
}

type Handler = Box<dyn Fn(&Asked) -> Option<Response<Body>> + Send + Sync>;

/// What a registry was asked.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) authorization: Option<String>,
    /// How often this path was asked before.
    pub(crate) before: usize,
}

#[derive(Default)]
struct Shelf {
    /// By path.
    content: HashMap<String, (String, Vec<u8>)>,
    asked: Vec<Asked>,
    handler: Option<Handler>,
}

/// A registry of a test's own, on loopback.
pub(crate) struct Registry {
    pub(crate) address: String,
    shelf: Arc<Mutex<Shelf>>,
    _runtime: tokio::runtime::Runtime,
}

impl Registry {
    pub(crate) fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let shelf = Arc::<Mutex<Shelf>>::default();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        listener.set_nonblocking(true).unwrap();
        let app = axum::Router::new().fallback(serve).with_state(Arc::clone(&shelf));
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, app).await.unwrap();
        });
        Self { address, shelf, _runtime: runtime }
    }

    /// Lines of the `spec` of a server's `config.yaml` that name it: without them it is not asked, being on loopback.
    pub(crate) fn listed(&self) -> String {
        listed(&[self])
    }

    /// The name by which an image of it is used.
    pub(crate) fn name(&self, image: &str) -> String {
        format!("{}/{image}", self.address)
    }

    /// Puts an image on the shelf; gives its digest.
    pub(crate) fn put(&self, repository: &str, tag: &str, image: &Image) -> String {
        let manifest = image.manifest();
        for blob in image.blobs() {
            self.put_blob(repository, &digest(&blob), blob);
        }
        self.put_manifest(repository, tag, "application/vnd.oci.image.manifest.v1+json", manifest)
    }

    /// Bytes under a digest, right or not.
    pub(crate) fn put_blob(&self, repository: &str, digest: &str, blob: Vec<u8>) {
        let path = format!("/v2/{repository}/blobs/{digest}");
        self.shelf.lock().unwrap().content.insert(path, ("application/octet-stream".to_owned(), blob));
    }

    pub(crate) fn remove_blob(&self, repository: &str, digest: &str) {
        self.shelf.lock().unwrap().content.remove(&format!("/v2/{repository}/blobs/{digest}"));
    }

    pub(crate) fn put_manifest(&self, repository: &str, tag: &str, kind: &str, manifest: Vec<u8>) -> String {
        let digest = digest(&manifest);
        let mut shelf = self.shelf.lock().unwrap();
        for name in [tag, &digest] {
            shelf.content.insert(format!("/v2/{repository}/manifests/{name}"), (kind.to_owned(), manifest.clone()));
        }
        digest
    }

    /// Answers before the shelf does.
    pub(crate) fn handle(&self, handler: impl Fn(&Asked) -> Option<Response<Body>> + Send + Sync + 'static) {
        self.shelf.lock().unwrap().handler = Some(Box::new(handler));
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.shelf.lock().unwrap().asked.clone()
    }

    /// How often something was asked whose path holds this.
    pub(crate) fn times(&self, part: &str) -> usize {
        self.asked().iter().filter(|asked| asked.path.contains(part)).count()
    }
}

/// Lines that name these registries.
pub(crate) fn listed(registries: &[&Registry]) -> String {
    let entries: String = registries.iter().map(|one| format!("    - host: {}\n", one.address)).collect();
    format!("  registries:\n{entries}")
}

/// A short answer.
pub(crate) fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Response<Body> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(Body::from(body.to_owned())).unwrap()
}

async fn serve(State(shelf): State<Arc<Mutex<Shelf>>>, method: Method, headers: HeaderMap, uri: Uri) -> Response<Body> {
    let mut shelf = shelf.lock().unwrap();
    let path = uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let before = shelf.asked.iter().filter(|asked| asked.path == path && asked.method == method.as_str()).count();
    let authorization = headers.get("authorization").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let asked = Asked { method: method.to_string(), path: path.clone(), authorization, before };
    shelf.asked.push(asked.clone());
    if let Some(answer) = shelf.handler.as_ref().and_then(|handler| handler(&asked)) {
        return answer;
    }
    match shelf.content.get(&path) {
        Some((kind, bytes)) => {
            Response::builder().header("content-type", kind).body(Body::from(bytes.clone())).unwrap()
        }
        None => {
            let body = r#"{"errors":[{"code":"UNKNOWN","message":"not on the shelf"}]}"#;
            Response::builder().status(StatusCode::NOT_FOUND).body(Body::from(body)).unwrap()
        }
    }
}
