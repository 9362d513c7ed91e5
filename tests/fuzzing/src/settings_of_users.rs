//! The settings of users-service: whatever is in them is refused, or within its bounds.

use std::time::Duration;

use users_service::Config;

use crate::Target;
use crate::settings::{TOKEN, read};

pub(crate) const TARGET: Target = Target {
    name: "settings_of_users",
    run,
    seeds,
    words: &[
        "[server]",
        "[database]",
        "[identity_provider]",
        "[log]",
        "listen = ",
        "ops_listen = ",
        "allow_plaintext = true",
        "reflection = ",
        "url = ",
        "replica_url = ",
        "timeout = ",
        "token = ",
        "\n---\n",
        "SERVER__LISTEN=",
        "IDENTITY_PROVIDER__URL=",
        "DATABASE__REPLICA_URL=",
        "\"0.0.0.0:1\"",
        "\"[::]:1\"",
        "http://",
        "https://",
        "dns:///",
        "dns:///auth:1",
        "postgres://",
        "sqlite://",
        "?sslmode=",
        "@",
        "%00",
        "10ms",
        "\"\"\"",
        "\u{7f}",
        "\\u0000",
    ],
    defect: "settings.plaintext_anywhere",
};

fn run(input: &[u8]) {
    let defaults = [
        ("database.url", "sqlite:///data/users.sqlite".to_owned()),
        ("identity_provider.token", TOKEN.to_owned()),
    ];
    let Some(config) = read(input, "USERS", &defaults, Config::read) else { return };
    let asked = String::from_utf8_lossy(input).to_lowercase().contains("allow_plaintext");
    let (listen, provider) = (config.server.listen, &config.identity_provider);
    assert!(listen.ip().is_loopback() || config.server.tls.is_some() || asked, "plaintext on {listen}");
    let schemes = ["http://", "https://", "dns:///"];
    assert!(schemes.iter().any(|scheme| provider.url.starts_with(scheme)), "{}", provider.url);
    let bounds = Duration::from_millis(10)..=Duration::from_secs(30);
    assert!(bounds.contains(&provider.timeout), "{:?}", provider.timeout);
    assert!(
        config.server.drain <= Duration::from_hours(1) && config.server.lame_duck <= Duration::from_mins(10)
    );
}

fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        "",
        // Hardly a digit of the last two can go or become another that is not beyond.
        "server.listen=\"127.0.0.1:1\"",
        "server.listen=\"[::1]:1\"",
        "server.listen=\"[::1]:11\"",
        "\n---\nSERVER__LISTEN=[::1]:1",
        "[server]\nlisten = \"127.0.0.1:50053\"\nops_listen = \"[::1]:0\"\ndrain = \"20s\"\nreflection = false\n",
        "[identity_provider]\nurl = \"dns:///auth:50052\"\ntimeout = \"2s\"\n[server]\nallow_plaintext = true\n",
        "[identity_provider]\nurl = \"https://auth:50052\"\n[log]\nlevel = \"info\"\nformat = \"text\"\n",
        "[database]\nurl = \"postgres://users@db/users\"\nreplica_url = \"postgres://users@replica/users\"\n\
         prepared_statements = false\ndirect_url = \"postgres://users@db/users\"\n",
        "[server]\nallow_plaintext = true\n---\nSERVER__LISTEN=0.0.0.0:1\nIDENTITY_PROVIDER__URL=http://auth:1\n",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}
