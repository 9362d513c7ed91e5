//! Who may call the internal listener.

use configuration::Reader;
use credentials::PeerNames;

use crate::workload::{Allowance, Tokens, Workload};

const FILE: &str = "workload.token_file";
const TOKEN: &str = "workload.token";
const CLIENTS: &str = "workload.clients";

/// `knows_certificates`: the internal listener asks its clients for theirs.
pub(super) fn read(reader: &mut Reader, knows_certificates: bool) -> Vec<Workload> {
    let mut workloads: Vec<Workload> = short_form(reader).into_iter().collect();
    workloads.extend(reader.tables(CLIENTS, client));
    if workloads.is_empty() && !reader.is_set(FILE) && !reader.is_set(TOKEN) {
        reader.refuse(CLIENTS, "must name who may call the internal listener; or give workload.token_file");
    }
    for Workload { name, tokens, san, .. } in &workloads {
        if let Some(why) = tokens.as_ref().and_then(Tokens::flaw) {
            reader.refuse(CLIENTS, format!("{name}: {why}"));
        }
        if tokens.is_none() && san.is_none() {
            reader.refuse(CLIENTS, format!("{name} has neither a token_file nor a san"));
        }
        if let Some(san) = san
            && !PeerNames::can_contain(san)
        {
            reader.refuse(
                CLIENTS,
                format!("{name}: {san:?} is neither a URI nor a DNS name without a wildcard"),
            );
        }
        if san.is_some() && !knows_certificates {
            let why = format!(
                "{name} is known by its certificate, which needs server.internal_client_ca_file and the internal \
                 listener's own certificate"
            );
            reader.refuse(CLIENTS, why);
        }
    }
    workloads
}

/// One client that may do everything, with a token and nothing else.
fn short_form(reader: &mut Reader) -> Option<Workload> {
    let file = reader.secret_file(FILE);
    let token = reader.secret(TOKEN);
    if reader.is_set(FILE) && reader.is_set(TOKEN) {
        reader.refuse(TOKEN, "is given together with workload.token_file");
    }
    let tokens = match (file, token) {
        (Some(file), _) => Tokens::in_file(file),
        (None, Some(token)) => Tokens::fixed(token),
        (None, None) => return None,
    };
    Some(Workload { name: "default".to_owned(), tokens: Some(tokens), san: None, allowance: Allowance::Full })
}

fn client(client: &mut Reader) -> Workload {
    let allowances = [("verify", Allowance::Verify), ("full", Allowance::Full)];
    Workload {
        name: client.text("name", "unnamed"),
        tokens: client.secret_file("token_file").map(Tokens::in_file),
        san: client.optional_text("san"),
        allowance: client.one_of("allow", "verify", &allowances),
    }
}
