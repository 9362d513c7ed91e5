//! Who a client is, by its certificate.

use rustls::pki_types::{CertificateDer, DnsName};
use webpki::EndEntityCert;

/// The names in a certificate that an authority of ours vouches for: DNS names and URIs, such as SPIFFE ids
/// (`spiffe://example.org/ns/shop/sa/orders`), of its subject alternative names. The common name is none of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerNames {
    dns: Vec<String>,
    uris: Vec<String>,
}

impl PeerNames {
    /// Those in a certificate that was verified.
    #[must_use]
    pub fn of(certificate: &CertificateDer<'_>) -> Self {
        let Ok(certificate) = EndEntityCert::try_from(certificate) else { return Self::default() };
        Self {
            dns: certificate.valid_dns_names().map(str::to_owned).collect(),
            uris: certificate.valid_uri_names().map(str::to_owned).collect(),
        }
    }

    /// Whether this is one of them, exactly: a certificate for `*.example.org` is not one for `shop.example.org`. What looks
    /// like a DNS name is looked for among these only. The case of DNS names does not matter.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        if is_uri(name) {
            self.uris.iter().any(|own| own == name)
        } else {
            self.dns.iter().any(|own| own.eq_ignore_ascii_case(name))
        }
    }

    /// Whether a certificate can have this name: a URI, or a DNS name that is no wildcard.
    #[must_use]
    pub fn can_contain(name: &str) -> bool {
        is_uri(name) || DnsName::try_from(name).is_ok()
    }
}

fn is_uri(name: &str) -> bool {
    name.contains("://")
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    fn names(names: Vec<SanType>) -> PeerNames {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = names;
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        PeerNames::of(certificate.der())
    }

    #[test]
    fn dns_names_and_uris_are_names_and_nothing_else_is() {
        let names = names(vec![
            SanType::DnsName("orders.shop.svc".try_into().unwrap()),
            SanType::URI("spiffe://example.org/ns/shop/sa/orders".try_into().unwrap()),
            SanType::Rfc822Name("orders@example.org".try_into().unwrap()),
        ]);
        assert!(names.contains("Orders.shop.svc"));
        assert!(names.contains("spiffe://example.org/ns/shop/sa/orders"));
        for other in [
            "orders@example.org",
            "spiffe://example.org/ns/shop/sa/ORDERS",
            "spiffe://example.org/ns/shop/sa",
            "shop.svc",
            "x.orders.shop.svc",
            "rcgen self signed cert",
            "",
        ] {
            assert!(!names.contains(other), "{other}");
        }
    }

    #[test]
    fn a_uri_is_no_dns_name_and_a_dns_name_no_uri() {
        let uri = names(vec![SanType::URI("orders.shop.svc".try_into().unwrap())]);
        assert!(!uri.contains("orders.shop.svc"));
    }

    #[test]
    fn what_no_certificate_has_can_be_told_before() {
        for name in ["orders.shop.svc", "localhost", "spiffe://example.org/ns/shop/sa/orders"] {
            assert!(PeerNames::can_contain(name), "{name}");
        }
        for name in ["*.shop.svc", "10.0.0.7", "orders@example.org", "two words", ""] {
            assert!(!PeerNames::can_contain(name), "{name}");
        }
    }

    #[test]
    fn a_wildcard_stands_for_nobody_else() {
        let names = names(vec![SanType::DnsName("*.example.org".try_into().unwrap())]);
        assert!(!names.contains("shop.example.org"));
    }

    #[test]
    fn what_is_no_certificate_has_no_names() {
        assert_eq!(PeerNames::of(&CertificateDer::from(vec![1, 2, 3])), PeerNames::default());
    }
}
