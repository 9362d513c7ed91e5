//! `grpc.reflection`: lets tools such as grpcurl and buf call a server whose definitions they do not have.

pub use tonic_reflection::server::Error;
use tonic_reflection::server::{Builder, v1, v1alpha};

use crate::health;

/// The largest question, in bytes: the name of a host, and that of a symbol or of a file. Either comes back in every answer.
const MAX_REQUEST_BYTES: usize = 4 * 1024;

/// The full names of both versions.
pub const SERVICES: [&str; 2] =
    ["grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"];

/// What describes the services that this crate brings: health, and reflection itself.
pub(crate) const OWN_DESCRIPTORS: [&[u8]; 3] = [
    health::pb::FILE_DESCRIPTOR_SET,
    tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
    tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
];

/// The reflection services over these encoded descriptor sets, naming the given services only.
///
/// Both versions, because clients still differ in which one they speak (Python's knows v1alpha only). The
/// descriptors of `google.rpc` error details and of health are added: without the former grpcurl shows error
/// details as base64.
///
/// # Errors
/// When a descriptor set does not decode.
pub fn services(
    descriptor_sets: &[&'static [u8]],
    service_names: &[&str],
) -> Result<
    (
        v1::ServerReflectionServer<impl v1::ServerReflection + use<>>,
        v1alpha::ServerReflectionServer<impl v1alpha::ServerReflection + use<>>,
    ),
    Error,
> {
    let builder = || {
        let builder = Builder::configure()
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(health::pb::FILE_DESCRIPTOR_SET);
        let builder = descriptor_sets
            .iter()
            .fold(builder, |builder, set| builder.register_encoded_file_descriptor_set(set));
        service_names.iter().fold(builder, |builder, name| builder.with_service_name(*name))
    };
    Ok((
        builder().build_v1()?.max_decoding_message_size(MAX_REQUEST_BYTES),
        builder().build_v1alpha()?.max_decoding_message_size(MAX_REQUEST_BYTES),
    ))
}
