//! `[server]`
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::Network;
use super::layers::Layers;

/// Where the master listens and keeps things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// The console and API.
    pub bind_address: SocketAddr,
    /// Everything that must survive.
    pub data_dir: PathBuf,
    /// The address that people use, without a slash at the end; none: the bind address.
    pub public_url: Option<String>,
    /// Certificate and key of TLS; none: plain HTTP.
    pub tls: Option<Tls>,
    /// Proxies whose `Forwarded` headers count.
    pub trusted_proxies: Vec<Network>,
    /// Metrics and readiness details.
    pub operator_address: SocketAddr,
    /// Where coordinators in a cluster reach the master.
    pub grpc_address: Option<SocketAddr>,
    /// Plain HTTP to other machines was asked for.
    pub insecure_http: bool,
}

/// The files of TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The certificate and those above it, PEM.
    pub cert: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
}

pub(super) fn check(layers: &mut Layers) -> Option<Server> {
    let address = "an address and port such as 127.0.0.1:8080";
    let socket = |text: &str| text.parse::<SocketAddr>().ok();
    let path = "an absolute path";
    let absolute = |text: &str| Some(PathBuf::from(text)).filter(|path| path.is_absolute());
    let bind_address = layers.required("server.bind_address", address, socket);
    let data_dir = layers.required("server.data_dir", path, absolute);
    let public_url = layers.optional("server.public_url", "an address such as https://ci.example.com", public_url);
    let cert = layers.optional("server.tls_cert", path, absolute);
    let key = layers.optional("server.tls_key", path, absolute);
    let network = "addresses or networks such as \"10.0.0.0/8\"";
    let trusted_proxies = layers.list("server.trusted_proxies", network, |text| text.parse::<Network>().ok());
    let operator_address = layers.required("server.operator_address", address, socket);
    let grpc_address = layers.optional("server.grpc_address", address, socket);
    let insecure_http = layers.required("server.insecure_http", "true or false", |text| text.parse::<bool>().ok());
    let tls = match (cert?, key?) {
        (Some(cert), Some(key)) => Some(Tls { cert, key }),
        (None, None) => None,
        (Some(_), None) => {
            layers.conflict("server.tls_cert", "server.tls_key is missing", "expected both or neither");
            return None;
        }
        (None, Some(_)) => {
            layers.conflict("server.tls_key", "server.tls_cert is missing", "expected both or neither");
            return None;
        }
    };
    let server = Server {
        bind_address: bind_address?,
        data_dir: data_dir?,
        public_url: public_url?,
        tls,
        trusted_proxies: trusted_proxies?,
        operator_address: operator_address?,
        grpc_address: grpc_address?,
        insecure_http: insecure_http?,
    };
    if in_the_open(&server) {
        let message = "plain HTTP would be open to other machines";
        let expected =
            "expected tls_cert and tls_key, or trusted_proxies, or a loopback address, or insecure_http = true";
        layers.conflict("server.bind_address", message, expected);
        return None;
    }
    Some(server)
}

/// Sessions and tokens would cross the network unprotected, and nobody said that this is meant.
fn in_the_open(server: &Server) -> bool {
    let loopback = server.bind_address.ip().to_canonical().is_loopback();
    !loopback && server.tls.is_none() && server.trusted_proxies.is_empty() && !server.insecure_http
}

fn public_url(text: &str) -> Option<String> {
    let url = url::Url::parse(text).ok()?;
    let plain =
        url.query().is_none() && url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
    let good = matches!(url.scheme(), "http" | "https") && url.has_host() && plain;
    good.then(|| text.trim_end_matches('/').to_owned())
}

impl Server {
    /// The address that people use, without a slash at the end.
    pub fn address(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        self.public_url.clone().unwrap_or_else(|| format!("{scheme}://{}", self.bind_address))
    }

    /// A folder or file within the data directory.
    pub fn data(&self, name: &str) -> PathBuf {
        Path::new(&self.data_dir).join(name)
    }
}
