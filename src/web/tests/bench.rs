//! A console with people, teams and pipelines, and a browser that keeps its cookies.
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::mirror::Repos;
use crate::model::settings::{
    Concurrency, Global, Level, Permission, Pipeline, SecretGrant, Settings, Team, TriggerRule, User, Webhook,
};
use crate::model::{PipelineId, Secret};
use crate::platform::{Ids, ManualClock, SystemIds};
use crate::secrets;
use crate::store::secrets::Scope;
use crate::store::{Durability, Store, apply, pipelines};
use crate::trigger;
use crate::web::openapi::validate;
use crate::web::peer::Peer;
use crate::web::{AppState, Hooks, PublicKey, Setup, router};

pub(super) const PASSWORD: &str = "correct horse battery";
pub(super) const HOOK: &[u8] = b"webhook-secret";

pub(super) struct Bench {
    pub(super) dir: TempDir,
    pub(super) clock: Arc<ManualClock>,
    pub(super) app: AppState,
    pub(super) store: Store,
    router: Router,
}

/// An answer, read whole.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Reply {
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The value that `Set-Cookie` gives a cookie.
    pub(super) fn cookie(&self, name: &str) -> Option<String> {
        let lines = self.headers.get_all(header::SET_COOKIE).iter().map(|line| line.to_str().unwrap());
        let value = lines.filter_map(|line| line.split(';').next()?.strip_prefix(&format!("{name}=")));
        value.map(str::to_owned).find(|value| !value.is_empty())
    }
}

pub(super) fn pipeline(name: &str, team: &str) -> Pipeline {
    Pipeline {
        name: name.to_owned(),
        team: team.to_owned(),
        repository: format!("https://git.example.com/{team}/{name}.git"),
        branch_filter: Vec::new(),
        triggers: vec![TriggerRule::Push, TriggerRule::Manual],
        paths: Vec::new(),
        script: "danubefile.py".to_owned(),
        max_duration_seconds: 3600,
        workspace_size_gb: 5,
        caps: Vec::new(),
        permissions: vec![Permission { team: "readers".to_owned(), level: Level::Read }],
        egress_allowlist: None,
        concurrency: Concurrency::default(),
        attempts: 1,
        secrets: Vec::<SecretGrant>::new(),
        params: Vec::new(),
        protected_branches: crate::model::settings::usual_branches(),
    }
}

pub(super) fn settings() -> Settings {
    let hash = bcrypt::hash(PASSWORD, 4).unwrap();
    let user = |name: &str| User {
        name: name.to_owned(),
        email: format!("{name}@example.com"),
        password_hash: Some(hash.clone()),
    };
    let team = |name: &str, member: &str| Team {
        name: name.to_owned(),
        members: vec![format!("{member}@example.com")],
        admins: Vec::new(),
        global_admin: name == "operators",
    };
    Settings {
        global: Global {
            webhooks: vec![Webhook {
                name: "default".to_owned(),
                forge: "github".to_owned(),
                secret: "HOOK".to_owned(),
                previous_secret: None,
            }],
            ..Global::default()
        },
        users: ["alice", "bob", "carol", "olga"].map(user).to_vec(),
        teams: vec![
            team("platform", "alice"),
            team("others", "bob"),
            team("readers", "carol"),
            team("operators", "olga"),
        ],
        pipelines: vec![pipeline("web", "platform"), pipeline("tomli", "platform")],
    }
}

impl Bench {
    pub(super) async fn new() -> Self {
        Self::with_url(None).await
    }

    pub(super) async fn with_url(public_url: Option<&str>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new("2026-05-04T10:00:00Z".parse().unwrap()));
        let ids: Arc<dyn Ids> = Arc::new(SystemIds::new());
        let store = Store::open(dir.path(), clock.clone(), ids.clone()).unwrap();
        let keys = dir.path().join("keys");
        for made in [&keys, &dir.path().join("logs"), &dir.path().join("artifacts")] {
            std::fs::create_dir_all(made).unwrap();
        }
        let vault = secrets::open(&store, &keys, ids.clone()).await.unwrap();
        secrets::set(&store, &vault, Scope::Global, "HOOK", Secret::new(HOOK.to_vec()), "test").await.unwrap();
        let repos = Arc::new(Repos::open(&dir.path().join("repos")).unwrap());
        let trigger = trigger::Ctx {
            store: store.clone(),
            repos,
            known_hosts: keys.join("known_hosts"),
            vault,
            room: trigger::Room::default(),
        };
        let app = AppState::new(Setup {
            ids,
            logs: dir.path().join("logs"),
            artifacts: dir.path().join("artifacts"),
            keys: vec![PublicKey { id: "ab".repeat(32), pem: "-----BEGIN PUBLIC KEY-----\n".to_owned() }],
            public_url: public_url.map(str::to_owned),
            builder: crate::provenance::builder_id(public_url, "0000abcd"),
            tls: false,
            trusted_proxies: Vec::new(),
            trigger,
            stop: CancellationToken::new(),
            hooks: Hooks {
                sync: Arc::new(|| {}),
                config: Arc::new(crate::config_repo::Status::default),
                data: Arc::new(|| None),
                down: Arc::new(|| Box::pin(async { Vec::new() })),
            },
            registry: None,
        });
        let bench = Self { router: router(app.clone()), dir, clock, app, store };
        bench.apply(settings()).await;
        bench
    }

    pub(super) async fn apply(&self, settings: Settings) {
        self.store
            .write("test", Durability::Acknowledged, move |tx| apply::apply(tx, &settings, &"c0".repeat(20), tx.now()))
            .await
            .unwrap();
    }

    /// The configuration without one person.
    pub(super) async fn apply_without(&self, name: &str) {
        let mut settings = settings();
        settings.users.retain(|user| user.name != name);
        self.apply(settings).await;
    }

    pub(super) async fn pipeline_id(&self, name: &str) -> PipelineId {
        let name = name.to_owned();
        self.store.read(move |view| pipelines::find_by_name(view, &name)).await.unwrap().unwrap().id
    }

    /// Sends a request as somebody on the network.
    pub(super) async fn send(&self, request: Request<Body>) -> Reply {
        self.send_from(request, Peer::Network(SocketAddr::from(([192, 0, 2, 1], 4000)))).await
    }

    /// Sends a request over the machine's socket.
    pub(super) async fn send_local(&self, request: Request<Body>) -> Reply {
        self.send_from(request, Peer::Machine).await
    }

    pub(super) async fn send_from(&self, mut request: Request<Body>, peer: Peer) -> Reply {
        request.extensions_mut().insert(peer);
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, 64 << 20).await.unwrap().to_vec();
        let reply = Reply { status: parts.status, headers: parts.headers, body };
        // Whatever a test is about, what the API answers is as its document says.
        validate::answer(&method, &path, reply.status.as_u16(), reply.header("content-type"), &reply.body);
        reply
    }

    pub(super) async fn get(&self, path: &str, cookie: &str) -> Reply {
        self.send(
            request(Method::GET, path)
                .header(header::COOKIE, format!("danube_session={cookie}"))
                .body(Body::empty())
                .unwrap(),
        )
        .await
    }

    /// A form of our own page: with the session's token.
    pub(super) async fn post(&self, path: &str, cookie: &str, fields: &str) -> Reply {
        let token = crate::auth::csrf::token(cookie);
        self.send(form(path, &format!("danube_session={cookie}"), &format!("{fields}&csrf={token}"))).await
    }

    /// Logs in as `name@example.com`; the session's cookie.
    pub(super) async fn login(&self, name: &str) -> String {
        let reply = self.try_login(&format!("{name}@example.com"), PASSWORD, "").await;
        reply.cookie("danube_session").unwrap_or_else(|| panic!("{}: {}", reply.status, reply.text()))
    }

    pub(super) async fn try_login(&self, email: &str, password: &str, more: &str) -> Reply {
        let door = "d".repeat(43);
        let token = crate::auth::csrf::token(&door);
        let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let fields = format!("csrf={token}&email={}&password={}{more}", encode(email), encode(password));
        self.send(form("/login", &format!("danube_door={door}"), &fields)).await
    }
}

pub(super) fn request(method: Method, path: &str) -> axum::http::request::Builder {
    Request::builder().method(method).uri(path).header(header::HOST, "danube.example.com")
}

pub(super) fn form(path: &str, cookies: &str, fields: &str) -> Request<Body> {
    request(Method::POST, path)
        .header(header::COOKIE, cookies)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(fields.to_owned()))
        .unwrap()
}
