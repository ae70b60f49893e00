//! The server's own authority: it vouches for the one name under which jobs reach the registry.
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{Span, Timestamp, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, NameConstraints,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use zeroize::Zeroizing;

use super::{HOST, RegistryError};
use crate::platform::atomic;

/// The domain that the authority may vouch for, whoever gets its key.
const DOMAIN: &str = "danube-system";
/// Days for which a certificate of the name holds, and after which the next one is made.
const VALID: i64 = 90;
const RENEW: i64 = 30;

/// Signs the certificate of the in-job name. Only its key is kept: all else is made from it.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
    /// What new connections are answered with, and since when.
    current: Mutex<Option<(Timestamp, Arc<ServerConfig>)>>,
}

impl Authority {
    /// Reads `<dir>/registry.key`, or makes it.
    pub(super) fn load_or_create(dir: &Path) -> Result<Self, RegistryError> {
        let path = dir.join("registry.key");
        let io = |what| {
            let path = path.clone();
            move |source| RegistryError::Io { what, path, source }
        };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => {
                let mode = std::fs::metadata(&path).map_err(io("look at"))?.permissions().mode() & 0o7777;
                if mode & 0o077 != 0 {
                    let why = format!("others may read it (mode {mode:04o}); run chmod 0600 {}", path.display());
                    return Err(io("use")(std::io::Error::other(why)));
                }
                Zeroizing::new(text)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let made = Zeroizing::new(KeyPair::generate().map_err(|error| of_key(&path, &error))?.serialize_pem());
                atomic::write("registry.key", &path, made.as_bytes(), 0o600).map_err(io("write"))?;
                made
            }
            Err(error) => return Err(io("read")(error)),
        };
        let key = KeyPair::from_pem(&text).map_err(|error| of_key(&path, &error))?;
        Self::new(key).map_err(|error| of_key(&path, &error))
    }

    fn new(key: KeyPair) -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name = named("Danube registry authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName(DOMAIN.to_owned())],
            excluded_subtrees: Vec::new(),
        });
        // It ends with its key: a step's trust in it must not end in the middle of the step.
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2120, 1, 1);
        let certificate = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), certificate, current: Mutex::default() })
    }

    /// What a step must trust, PEM.
    pub(super) fn certificate(&self) -> &str {
        &self.certificate
    }

    /// A secret of another kind, as lasting as the key.
    pub(super) fn derived(&self, what: &str) -> String {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &self.issuer.key().serialize_der());
        hex::encode(ring::hmac::sign(&key, what.as_bytes()))
    }

    /// What a connection that is accepted now is answered with.
    pub(super) fn server(&self, now: Timestamp) -> Result<Arc<ServerConfig>, RegistryError> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((since, config)) = &*current
            && (0..RENEW * 86_400).contains(&(now.as_second() - since.as_second()))
        {
            return Ok(Arc::clone(config));
        }
        let config = Arc::new(self.make(now).map_err(|error| RegistryError::Certificate(error.to_string()))?);
        *current = Some((now, Arc::clone(&config)));
        Ok(config)
    }

    fn make(&self, now: Timestamp) -> Result<ServerConfig, Box<dyn std::error::Error + Send + Sync>> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec![HOST.to_owned()])?;
        params.distinguished_name = named(HOST);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let day = |days: i64| {
            let date = now.to_zoned(TimeZone::UTC).saturating_add(Span::new().days(days)).date();
            rcgen::date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs())
        };
        // A day of grace for clocks.
        (params.not_before, params.not_after) = (day(-1), day(VALID));
        let certificate = params.signed_by(&key, &self.issuer)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut full = DistinguishedName::new();
    full.push(DnType::CommonName, name);
    full
}

fn of_key(path: &Path, error: &rcgen::Error) -> RegistryError {
    RegistryError::Key { path: path.to_owned(), why: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_key_is_private_and_the_authority_outlives_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let first = Authority::load_or_create(dir.path()).unwrap();
        let mode = std::fs::metadata(dir.path().join("registry.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let second = Authority::load_or_create(dir.path()).unwrap();
        assert_eq!(first.issuer.key().serialize_pem(), second.issuer.key().serialize_pem());
        assert!(first.certificate().starts_with("-----BEGIN CERTIFICATE-----"));
    }

    #[test]
    fn a_certificate_is_made_again_before_it_ends() {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::load_or_create(dir.path()).unwrap();
        let at = |days: i64| Timestamp::from_second(1_800_000_000 + days * 86_400).unwrap();
        let first = authority.server(at(0)).unwrap();
        assert!(Arc::ptr_eq(&first, &authority.server(at(RENEW - 1)).unwrap()));
        assert!(!Arc::ptr_eq(&first, &authority.server(at(RENEW)).unwrap()));
    }

    #[test]
    fn a_broken_key_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("registry.key");
        std::fs::write(&path, "x").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = Authority::load_or_create(dir.path()).err().unwrap().to_string();
        assert!(error.contains("chmod 0600"), "{error}");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let error = Authority::load_or_create(dir.path()).err().unwrap().to_string();
        assert!(error.contains("registry.key") && error.contains("remove it"), "{error}");
    }
}
