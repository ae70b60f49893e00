//! The service on a real socket: the SDK's own process over gRPC-Web, and a gRPC client over HTTP/2.
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use danube_proto::v1;
use danube_proto::v1::coordinator_client::CoordinatorClient;
use danube_shim::index::Stream;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Code, Request};

use crate::executor::StepState;
use crate::model::job::Status;
use crate::model::{JobId, Principal};
use crate::orchestrator::tests::fake::end;
use crate::orchestrator::tests::world::{Master, World};
use crate::orchestrator::{LiveJob, Serve};
use crate::queue;
use crate::store::testing::pipeline;

struct Served {
    world: World,
    master: Master,
    id: JobId,
}

impl Served {
    async fn new() -> Self {
        let site = pipeline("site", "web");
        let world = World::new(site.clone()).await;
        let claimed = world.claim(&site).await;
        let id = claimed.job.id;
        let (sender, mut jobs) = mpsc::unbounded_channel::<Arc<LiveJob>>();
        let serve: Serve = Arc::new(move |listener, job, stop| {
            sender.send(Arc::clone(&job)).unwrap();
            Box::pin(super::serve(listener, job, stop))
        });
        let master = world.master_with(claimed, serve, &mut jobs).await;
        Self { world, master, id }
    }

    async fn client(&self) -> CoordinatorClient<Channel> {
        let socket = self.world.executor.socket(self.id);
        let connect = tower::service_fn(move |_: Uri| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        });
        let endpoint = Endpoint::from_static("http://localhost");
        CoordinatorClient::new(endpoint.connect_with_connector(connect).await.unwrap())
    }

    /// The credential that the coordinator got.
    async fn credential(&self) -> String {
        self.world.executor.coordinator(1).await;
        let env = self.world.executor.coordinator_env();
        env.into_iter().find(|(name, _)| name == "DANUBE_CREDENTIAL").unwrap().1
    }

    /// Runs a danubefile as the coordinator does, and ends the fake coordinator as it ended.
    async fn danubefile(&self, text: &str) -> (i32, String) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("danubefile.py");
        std::fs::write(&file, text).unwrap();
        let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("sdk/src");
        let run = format!("import sys; sys.path.insert(0, {sdk:?}); from danube._run import main; main()");
        let socket = self.world.executor.socket(self.id);
        let output = tokio::process::Command::new("python3")
            .args(["-I", "-B", "-c", &run])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("DANUBE_SOCKET_DIR", socket.parent().unwrap())
            .env("DANUBE_CREDENTIAL", self.credential().await)
            .env("DANUBE_FILE", &file)
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .output()
            .await
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        let at = self.world.executor.coordinator(1).await;
        self.world.executor.print(at, Stream::Stderr, &text);
        let code = output.status.code().unwrap();
        self.world.executor.finish(at, StepState::Ended(end(code)));
        (code, text)
    }
}

fn now(key: &str, credential: &str) -> Request<v1::NowRequest> {
    let call = v1::Call { key: key.to_owned(), file: "danubefile.py".to_owned(), line: 1 };
    let mut request = Request::new(v1::NowRequest { call: Some(call) });
    request.metadata_mut().insert("authorization", format!("Bearer {credential}").parse().unwrap());
    request
}

#[tokio::test]
async fn a_danubefile_runs_over_the_socket_to_its_end() {
    let served = Served::new().await;
    served.world.executor.put("dist/a.tar", b"abc");
    let (code, text) = served
        .danubefile(
            r#"
from danube import StepFailed, artifacts, ctx, pipeline, secrets, step

@pipeline(name="core", timeout="20m")
def build():
    assert ctx.branch == "main" and ctx.number == 1, ctx.branch
    assert ctx.changed("src/**")
    assert 0 <= ctx.random() < 1
    both = step.parallel(lambda: step.run("exit 0", image="host"), lambda: step.run("print two", capture=True))
    assert both[1].stdout == "two", both
    kept = artifacts.upload("dist/a.tar", name="a")
    assert kept.size == 3
    try:
        step.run("exit 3", name="allowed to fail", env={"TOKEN": secrets.get("TOKEN")})
    except StepFailed as failed:
        assert failed.result.exit_code == 3
    secrets.mask("made-at-run-time")
"#,
        )
        .await;
    let told = "ctx.changed('src/**') is True: there is no green run of main to compare with\n";
    assert_eq!((code, text.as_str()), (0, told));
    assert_eq!(served.master.ended().await, Status::Success);
    let steps = served.world.steps(served.id).await;
    let keys: Vec<&str> = steps.iter().filter(|step| step.seq > 0).map(|step| step.key.as_str()).collect();
    for key in ["/parallel#0[0]/run#0", "/parallel#0[1]/run#0", "/run#0"] {
        assert!(keys.contains(&key), "{keys:?}");
    }
}

#[tokio::test]
async fn a_failed_step_is_the_reason_on_the_jobs_page() {
    let served = Served::new().await;
    let text =
        "from danube import pipeline, step\n@pipeline(name='c')\ndef build():\n    step.run('exit 4', name='unit')\n";
    let (code, _) = served.danubefile(text).await;
    assert_eq!(code, 1);
    assert_eq!(served.master.ended().await, Status::Failure);
    let reason = served.world.row(served.id).await.reason.unwrap();
    assert!(reason.starts_with("step \"unit\" failed: exit code 4"), "{reason}");
}

#[tokio::test]
async fn an_exception_is_the_reason_with_its_line() {
    let served = Served::new().await;
    let text = "from danube import pipeline\n@pipeline(name='c')\ndef build():\n    raise ValueError('no')\n";
    let (code, printed) = served.danubefile(text).await;
    assert_eq!(code, 1);
    assert_eq!(served.master.ended().await, Status::Failure);
    let reason = served.world.row(served.id).await.reason.unwrap();
    assert!(reason.contains("ValueError: no") && reason.contains("danubefile.py:4"), "{reason} from {printed}");
}

#[tokio::test]
async fn a_cancel_reaches_a_danubefile_that_waits_for_a_step() {
    let served = Served::new().await;
    let text = "from danube import pipeline, step\n@pipeline(name='c')\ndef build():\n    step.run('hang')\n";
    let store = served.world.test.store.clone();
    let (ran, ()) = tokio::join!(served.danubefile(text), async {
        served.world.executor.started("hang").await;
        queue::cancel(&store, served.id, Principal::LocalAdmin).await.unwrap();
    });
    assert!(ran.0 == 75, "{ran:?}");
    assert_eq!(served.master.ended().await, Status::Cancelled);
}

#[tokio::test]
async fn only_the_jobs_own_credential_opens_its_socket() {
    let served = Served::new().await;
    let mut client = served.client().await;
    for wrong in ["", "x", &"00".repeat(32)] {
        let refused = client.now(now("/now#0", wrong)).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated);
    }
    let credential = served.credential().await;
    let answer = client.now(now("/now#0", &credential)).await.unwrap().into_inner();
    assert_eq!(answer.now, "2026-01-01T00:00:00Z");
    let bad = client.now(now("/run#0", &credential)).await.unwrap_err();
    assert_eq!(bad.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_request_over_the_bound_is_refused() {
    let served = Served::new().await;
    let mut client = served.client().await;
    let call = v1::Call { key: "/mask#0".to_owned(), file: String::new(), line: 0 };
    let mut request = Request::new(v1::MaskValueRequest { call: Some(call), value: "x".repeat(2 << 20) });
    let credential = format!("Bearer {}", served.credential().await);
    request.metadata_mut().insert("authorization", credential.parse().unwrap());
    assert_ne!(client.mask_value(request).await.unwrap_err().code(), Code::Ok);
}
