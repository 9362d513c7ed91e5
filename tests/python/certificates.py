"""Certificates as operators make them: by openssl."""

import subprocess


class Authority:
    """Its certificate is in `file`; what it issues is beside it."""

    def __init__(self, folder, name):
        self.folder, self.name = folder, name
        self.config = folder / "openssl.cnf"
        # That of the machine may add to certificates whatever it likes.
        self.config.write_text("[req]\ndistinguished_name = name\n[name]\n")
        extensions = ("basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign")
        self.file, self.key = self._make(name, name, *extensions)

    def issue(self, label, alternative_name, common_name="somebody"):
        """The files of a certificate for `IP:…`, `DNS:…` or `URI:…`, and of its key."""
        ours = ("-CA", self.file, "-CAkey", self.key)
        extensions = (f"subjectAltName={alternative_name}", "basicConstraints=critical,CA:FALSE")
        return self._make(f"{self.name}-{label}", common_name, *extensions, more=ours)

    def _make(self, label, common_name, *extensions, more=()):
        certificate, key = self.folder / f"{label}.pem", self.folder / f"{label}-key.pem"
        command = ["openssl", "req", "-x509", "-config", self.config, "-days", "2", "-subj", f"/CN={common_name}"]
        command += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        command += ["-keyout", key, "-out", certificate]
        command += [part for extension in extensions for part in ("-addext", extension)]
        made = subprocess.run([*command, *more], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        assert made.returncode == 0, made
        return certificate, key
