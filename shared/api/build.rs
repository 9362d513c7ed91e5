//! Compiles the protobuf in pure Rust (no `protoc` on anyone's machine) and writes, beside the messages, clients and
//! servers, what follows from the descriptors: `Debug` that hides every `debug_redact` field, and the list of rpcs.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use protox::prost_reflect::{
    DescriptorPool, FieldDescriptor, FileDescriptor, Kind, MessageDescriptor, OneofDescriptor, Value,
};

const PACKAGES: [&str; 3] = ["tandem.auth.v1", "tandem.identity.v1", "tandem.users.v1"];

fn main() -> Result<(), Box<dyn Error>> {
    // Asked now and not when this was compiled: clones may share a target directory.
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or("CARGO_MANIFEST_DIR is not set")?);
    let root = root.join("../../proto");
    println!("cargo::rerun-if-changed={}", root.display());
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);

    let mut compiler = protox::Compiler::new([&root])?;
    compiler.include_imports(true).include_source_info(true).open_files(proto_files(&root)?)?;
    let pool = compiler.descriptor_pool();
    for package in PACKAGES {
        fs::write(out.join(format!("{package}.bin")), descriptors_of(&pool, package))?;
    }
    let secret = messages_with_secrets(&pool);
    tonic_prost_build::configure()
        .skip_debug(secret.iter().map(|message| format!(".{}", message.full_name())))
        .compile_fds(compiler.file_descriptor_set())?;
    fs::write(out.join("redacted.rs"), redacted_debug(&secret)?)?;
    fs::write(out.join("rpcs.rs"), rpcs(&pool)?)?;
    Ok(())
}

/// The files of a package and of Google's types, encoded: what a listener that serves the package may show.
fn descriptors_of(pool: &DescriptorPool, package: &str) -> Vec<u8> {
    let shown =
        |file: &FileDescriptor| file.package_name() == package || file.package_name() == "google.protobuf";
    let mut set = Vec::new();
    for file in pool.files().filter(shown) {
        // `FileDescriptorSet.file`. Encoded one by one, files keep the options that prost's own types do not know.
        prost::encoding::bytes::encode(1, &file.encode_to_vec(), &mut set);
    }
    set
}

fn proto_files(root: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut files = Vec::new();
    for package in PACKAGES {
        for entry in fs::read_dir(root.join(package.replace('.', "/")))? {
            files.push(entry?.path());
        }
    }
    files.sort();
    Ok(files)
}

/// The messages that have a field marked `debug_redact`.
fn messages_with_secrets(pool: &DescriptorPool) -> Vec<MessageDescriptor> {
    pool.all_messages().filter(|message| message.fields().any(|field| is_secret(&field))).collect()
}

fn is_secret(field: &FieldDescriptor) -> bool {
    field.options().get_field_by_name("debug_redact").is_some_and(|value| *value == Value::Bool(true))
}

/// Implementations of `Debug` that print `<redacted>` in place of secrets.
fn redacted_debug(messages: &[MessageDescriptor]) -> Result<String, std::fmt::Error> {
    let mut code = String::new();
    for message in messages {
        let module = message.parent_file().package_name().replace('.', "::");
        let name = message.name();
        writeln!(code, "impl ::core::fmt::Debug for {module}::{name} {{")?;
        writeln!(code, "fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {{")?;
        writeln!(code, "f.debug_struct({name:?})")?;
        for oneof in message.oneofs() {
            writeln!(code, ".field({0:?}, &self.{0})", oneof.name())?;
        }
        for field in message.fields().filter(|field| field.containing_oneof().is_none()) {
            if is_secret(&field) {
                assert_eq!(field.kind(), Kind::String, "{}: only strings are redacted", field.full_name());
                writeln!(code, ".field({:?}, &::core::format_args!(\"<redacted>\"))", field.name())?;
            } else {
                writeln!(code, ".field({0:?}, &self.{0})", field.name())?;
            }
        }
        writeln!(code, ".finish()\n}}\n}}")?;
        for oneof in message.oneofs() {
            write!(code, "{}", oneof_debug(&format!("{module}::{}", snake_case(name)), &oneof)?)?;
        }
    }
    Ok(code)
}

/// The oneofs of a message without `Debug` come without it too.
fn oneof_debug(module: &str, oneof: &OneofDescriptor) -> Result<String, std::fmt::Error> {
    let mut code = String::new();
    writeln!(code, "impl ::core::fmt::Debug for {module}::{} {{", camel_case(oneof.name()))?;
    writeln!(
        code,
        "fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {{\nmatch self {{"
    )?;
    for field in oneof.fields() {
        assert!(!is_secret(&field), "{}: a secret inside a oneof is not redacted", field.full_name());
        let variant = camel_case(field.name());
        writeln!(code, "Self::{variant}(value) => f.debug_tuple({variant:?}).field(value).finish(),")?;
    }
    writeln!(code, "}}\n}}\n}}")?;
    Ok(code)
}

fn camel_case(snake: &str) -> String {
    snake.split('_').map(|word| word[..1].to_uppercase() + &word[1..]).collect()
}

fn snake_case(camel: &str) -> String {
    let mut snake = String::new();
    for (position, letter) in camel.char_indices() {
        if letter.is_uppercase() && position > 0 {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

/// An enum with one variant for every rpc, so that a `match` over it has to name them all.
fn rpcs(pool: &DescriptorPool) -> Result<String, std::fmt::Error> {
    let methods: Vec<_> = pool
        .services()
        .filter(|service| PACKAGES.contains(&service.package_name()))
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .map(|method| {
            let service = method.parent_service();
            let variant = format!("{}{}", service.name().trim_end_matches("Service"), method.name());
            let path = format!("/{}/{}", service.full_name(), method.name());
            (variant, path, method.is_server_streaming())
        })
        .collect();
    let mut code = String::from(
        "/// Every rpc of the contract. A `match` over it that forgets one does not compile.\n\
         #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]\npub enum Rpc {\n",
    );
    for (variant, path, _) in &methods {
        writeln!(code, "/// `{path}`\n{variant},")?;
    }
    writeln!(code, "}}\nimpl Rpc {{\n/// All of them.\npub const ALL: [Self; {}] = [", methods.len())?;
    for (variant, ..) in &methods {
        writeln!(code, "Self::{variant},")?;
    }
    writeln!(
        code,
        "];\n/// The path of the rpc's HTTP request.\n#[must_use]\npub const fn path(self) -> &'static str {{\nmatch self {{"
    )?;
    for (variant, path, _) in &methods {
        writeln!(code, "Self::{variant} => {path:?},")?;
    }
    writeln!(
        code,
        "}}\n}}\n/// Whether the answer is a stream.\n#[must_use]\npub const fn is_streaming(self) -> bool {{\nmatches!(self, "
    )?;
    let streaming: Vec<_> = methods
        .iter()
        .filter(|(.., streaming)| *streaming)
        .map(|(variant, ..)| format!("Self::{variant}"))
        .collect();
    writeln!(code, "{})\n}}\n}}", streaming.join(" | "))?;
    Ok(code)
}
