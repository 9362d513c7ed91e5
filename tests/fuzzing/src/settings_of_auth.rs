//! The settings of auth-service: whatever is in them is refused, or within its bounds.

use std::fs::{File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::LazyLock;
use std::time::Duration;

use auth_core::domain::SessionPolicy;
use auth_service::{Argon2Settings, Config};
use secrecy::ExposeSecret as _;

use crate::settings::{TOKEN, path_of, read};
use crate::{Target, access_tokens};

pub(crate) const TARGET: Target = Target {
    name: "settings_of_auth",
    run,
    seeds,
    words: &[
        "[server]",
        "[database]",
        "[session]",
        "[password]",
        "[token]",
        "[workload]",
        "[[workload.clients]]",
        "[rate_limit]",
        "[log]",
        "listen = ",
        "allow_plaintext = true",
        "idle_timeout = ",
        "absolute_timeout = ",
        "refresh_threshold_ratio = ",
        "max_per_user = ",
        "min_length = ",
        "argon2_memory_kib = ",
        "queue_wait = ",
        "peppers = ",
        "trusted_proxies = ",
        "free_failures = ",
        "max_delay = ",
        "\n---\n",
        "SERVER__LISTEN=",
        "SESSION__IDLE_TIMEOUT=",
        "PASSWORD__PEPPERS=",
        "WORKLOAD__CLIENTS__0__NAME=",
        "LOG__LEVEL=",
        "_FILE",
        "\"0.0.0.0:1\"",
        "\"[::]:1\"",
        "30m",
        "365d",
        "1e400",
        "nan",
        "inf",
        "9223372036854775807",
        "\"\"\"",
        "::ffff:10.0.0.0/104",
        "\u{7f}",
        "\\u0000",
    ],
    defect: "settings.idle_outlasts_absolute",
};

const PEPPER: &str = "p1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

static KEY: LazyLock<File> = LazyLock::new(|| {
    let mut file = tempfile::tempfile().expect("a file");
    file.set_permissions(Permissions::from_mode(0o600)).expect("for its owner's eyes only");
    file.write_all(access_tokens::pem().as_bytes()).expect("a key is written");
    file
});

/// The settings, unless they are refused.
fn taken(input: &[u8]) -> Option<Config> {
    let defaults = [
        ("database.url", "sqlite:///data/auth.sqlite".to_owned()),
        ("token.signing_key_file", path_of(&KEY).display().to_string()),
        ("password.peppers", PEPPER.to_owned()),
        ("workload.token", TOKEN.to_owned()),
    ];
    read(input, "AUTH", &defaults, Config::read)
}

fn run(input: &[u8]) {
    let Some(config) = taken(input) else { return };
    sessions(&config.sessions);
    hashes(&config.argon2);
    let is_known = |workload: &auth_service::Workload| workload.tokens.is_some() || workload.san.is_some();
    assert!(!config.workloads.is_empty() && config.workloads.iter().all(is_known), "{:?}", config.workloads);
    if let Some(policy) = config.rate_limits.policy {
        let delay = policy.max_delay.to_std().expect("a delay");
        assert!((1..=100).contains(&policy.free_failures), "{policy:?}");
        assert!((Duration::from_secs(1)..=Duration::from_hours(24)).contains(&delay), "{policy:?}");
        assert!(policy.address_failures >= 1 && policy.sign_ups_per_hour >= 1, "{policy:?}");
    }
    let asked = String::from_utf8_lossy(input).to_lowercase().contains("allow_plaintext");
    let server = &config.server;
    for (address, tls) in [(server.listen, &server.tls), (server.internal_listen, &server.internal_tls)] {
        assert!(address.ip().is_loopback() || tls.is_some() || asked, "plaintext on {address}");
    }
    assert!(server.drain <= Duration::from_hours(1) && server.lame_duck <= Duration::from_mins(10));
}

fn sessions(policy: &SessionPolicy) {
    let [idle, absolute] =
        [policy.idle_timeout, policy.absolute_timeout].map(|time| time.to_std().expect("a time"));
    assert!(Duration::from_secs(2) <= idle && idle <= absolute, "{policy:?}");
    assert!(absolute <= Duration::from_hours(24 * 365), "{policy:?}");
    assert!(policy.refresh_threshold_ratio > 0.0 && policy.refresh_threshold_ratio < 1.0, "{policy:?}");
    assert!((1..=10_000).contains(&policy.max_per_user), "{policy:?}");
}

fn hashes(settings: &Argon2Settings) {
    assert!((8..=1024 * 1024).contains(&settings.cost.memory_kib), "{settings:?}");
    assert!((1..=16).contains(&settings.cost.iterations), "{settings:?}");
    assert!((1..=1024).contains(&settings.max_parallel), "{settings:?}");
    assert!(settings.queue_wait <= Duration::from_secs(30), "{settings:?}");
    let peppers = &settings.peppers;
    let is_fit =
        |pepper: &auth_service::Pepper| pepper.secret.expose_secret().len() >= 32 && !pepper.id.is_empty();
    assert!(!peppers.is_empty() && peppers.iter().all(is_fit), "{settings:?}");
    let is_alone = |id: &str| peppers.iter().filter(|pepper| pepper.id == id).count() == 1;
    assert!(peppers.iter().all(|pepper| is_alone(&pepper.id)), "{settings:?}");
}

fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        "",
        // The bounds themselves: hardly a digit can become another one that is not beyond.
        "session.idle_timeout=\"86400s\"",
        "session.idle_timeout=\"1440m\"",
        "session.absolute_timeout=\"1800s\"",
        "session.absolute_timeout=\"30m\"",
        "\n---\nSESSION__IDLE_TIMEOUT=86400s",
        "\n---\nSESSION__IDLE_TIMEOUT=1440m",
        "\n---\nSESSION__ABSOLUTE_TIMEOUT=1800s",
        // One digit less of the second is less than the first.
        "[session]\nidle_timeout=\"8888888s\"\nabsolute_timeout=\"8888888s\"",
        "[session]\nidle_timeout = \"30m\"\nabsolute_timeout = \"24h\"\nrefresh_threshold_ratio = 0.2\nmax_per_user = 20\n",
        "[server]\nlisten = \"127.0.0.1:50051\"\ninternal_listen = \"[::1]:0\"\ndrain = \"20s\"\nreflection = true\n",
        "[password]\nmin_length = 15\nargon2_memory_kib = 19456\nargon2_iterations = 2\nqueue_wait = \"1s\"\n\
         max_parallel_hashes = 2\n[log]\nlevel = \"info\"\nformat = \"json\"\n",
        "[rate_limit]\nenabled = true\nfree_failures = 5\nmax_delay = \"15m\"\ntrusted_proxies = [\"10.0.0.0/8\", \"::1\"]\n",
        "[database]\nurl = \"postgres://auth:secret@db:5432/auth?sslmode=require\"\nmax_connections = 8\n",
        "[[workload.clients]]\nname = \"shop\"\nsan = \"spiffe://example/shop\"\nallow = \"verify\"\n\
         [[workload.clients]]\nname = \"users\"\ntoken_file = \"/nowhere\"\n",
        "[server]\nallow_plaintext = true\n---\nSERVER__LISTEN=0.0.0.0:1\nSESSION__IDLE_TIMEOUT=2s\nLOG__LEVEL=debug\n",
        "[token]\nissuer = \"a\"\n---\nPASSWORD__PEPPERS=p2:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n\
         WORKLOAD__CLIENTS__0__NAME=x\nWORKLOAD__CLIENTS__0__ALLOW=full\n",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Or no input would ever come to what is asked of settings that are taken.
    #[test]
    fn what_has_to_be_given_is_enough() {
        assert!(taken(b"").is_some());
    }
}
