//! Examples of every command. A test holds that each is understood.

/// The examples of a command, by its words without `danube`.
pub(super) fn examples(path: &str) -> &'static [&'static str] {
    match path {
        "admin link" => &["sudo danube admin link"],
        "audit" => &[
            "danube audit --since 24h",
            "danube audit --action job.cancel --principal mina@example.com",
            "danube audit --all --json > audit.json",
        ],
        "bench burst" => &["danube bench burst"],
        "bench latency" => &["danube bench latency", "danube bench latency --json"],
        "bench log" => &["danube bench log"],
        "bench seed" => &["danube bench seed"],
        "bench soak" => &["danube bench soak"],
        "bench sse" => &["danube bench sse"],
        "bench start" => &["danube bench start"],
        "bench webhook" => &["danube bench webhook --check"],
        "completions" => &[
            "danube completions bash > /etc/bash_completion.d/danube",
            "danube completions zsh > /usr/local/share/zsh/site-functions/_danube",
            "danube completions fish > ~/.config/fish/completions/danube.fish",
        ],
        "config show" => &["danube config show --config danube.toml"],
        "config status" => &["danube config status", "danube config status --json"],
        "demo" => &["danube demo", "danube demo --port 8080", "danube demo --exit"],
        "executor" => &["sudo danube executor --master-uid 990"],
        "init" => &["danube init my-config"],
        "job artifacts" => &["danube job artifacts 'web#42'", "danube job artifacts 'web#42' --download out"],
        "job cancel" => &["danube job cancel 'web#42'"],
        "job list" => &[
            "danube job list",
            "danube job list --pipeline web --status failure --since 7d",
            "danube job list --branch main --limit 50",
            "danube job list --all --json > jobs.json",
        ],
        "job rerun" => &["danube job rerun 'web#42'", "danube job rerun 'web#42' --wait"],
        "job show" => &["danube job show 'web#42'", "danube job show 'web#42' --json"],
        "lint" => &["danube lint", "danube lint my-config --json"],
        "login" => &["danube login https://danube.example.com", "danube login https://danube.example.com < token.txt"],
        "logout" => &["danube logout"],
        "logs" => &[
            "danube logs 'web#42'",
            "danube logs 'web#42' --step 2 --timestamps",
            "danube logs 'web#42' -f",
            "danube logs 'web#42' --grep 'error|warning'",
        ],
        "man" => &["danube man --out /usr/local/share/man/man1", "danube man > danube.1"],
        "registry status" => &["danube registry status"],
        "registry gc" => &["danube registry gc", "danube registry gc --json"],
        "replay" => &[
            "danube replay 'web#42'",
            "danube replay 'web#42' --break 12",
            "danube replay 'web#42' --debugger none --source .",
            "danube replay .",
        ],
        "run" => &["danube run", "danube run path/to/repository"],
        "schema" => &["danube schema pipeline", "danube schema > danube-schema.json"],
        "secret delete" => &["danube secret delete NPM_TOKEN --pipeline web"],
        "secret list" => &["danube secret list", "danube secret list --pipeline web --json"],
        "secret set" => &["danube secret set NPM_TOKEN --pipeline web", "danube secret set DEPLOY_KEY < deploy.key"],
        "serve" => &["danube serve --config danube.toml", "danube serve --data-dir data --listen 127.0.0.1:8080"],
        "status" => &["danube status", "danube status --json"],
        "sync" => &["danube sync"],
        "token create" => {
            &["danube token create ci --expires 30d", "danube token create badge --read-only --pipeline web"]
        }
        "token list" => &["danube token list"],
        "token revoke" => &["danube token revoke 01890a5d-ac96-774b-bcce-b302099a8057"],
        "trigger" => &[
            "danube trigger web --wait",
            "danube trigger web --branch release-2",
            "danube trigger deploy -p target=staging -p dry_run=true",
        ],
        "user hash-password" => &["danube user hash-password"],
        "verify" => &[
            "danube verify app.tar --attestation app.json --key signing.key.pub --source https://git.example.com/app@main",
        ],
        "whoami" => &["danube whoami"],
        _ => &[],
    }
}
