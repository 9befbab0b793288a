#include "keys/owner_key.hpp"

#include "base/error.hpp"
#include "base/host/host_rng.hpp"
#include "cli/files.hpp"
#include "cli/text.hpp"
#include "session/data_directory.hpp"

namespace tools {

namespace {

constexpr int kTries = 3;

base::Result<void> make_owner_key(Context& context, const std::string& path) {
    BASE_CHECK(check_new(data_directory(context.settings)));
    BASE_TRY(const auto passphrase, given_passphrase(context.settings, context.io.environment()));
    base::host::HostRng rng;
    const base::SigningKey key{rng.secret()};
    BASE_TRY(const KeyFile file, KeyFile::seal(key, passphrase ? passphrase->view() : std::string_view{}, rng));
    const auto cannot = [](const base::Error& error) {
        return base::Error{error.code(),
                           "cannot make an owner key: " + error.detail() + " (choose another directory with --dir)"};
    };
    if (const auto made = make_directories(parent_path(path)); !made) return cannot(made.error());
    if (auto written = write_new_file(path, base::as_bytes(file.encode())); !written) {
        if (written.error() == base::Errc::exists) return base::ok();  // another pelago was faster: its key is ours
        return cannot(written.error());
    }
    context.console.note("made an owner key " + std::string{passphrase ? "" : "(without passphrase) "} + "in " +
                         printable(path) +
                         "\nNobody can read your archives without it, nor can you. Keep a copy elsewhere:"
                         "\n  pelago key export FILE");
    return base::ok();
}

/// As a full disk or an interrupted copy leaves it.
bool is_empty(const std::string& path) {
    const auto bytes = read_small_file(path, 0);
    return bytes && *bytes && (*bytes)->empty();
}

}  // namespace

base::Result<std::optional<KeyFile>> read_key_file(Context& context, const std::string& path) {
    const auto bytes = read_small_file(path, kMaxKeyFileBytes);
    if (!bytes) return bytes.error().with("cannot read the owner key");
    if (!*bytes) return std::optional<KeyFile>{};
    auto file = KeyFile::decode(**bytes);
    if (!file) return file.error().with("cannot use " + path);
    if (const auto mode = mode_of(path); mode && (*mode & 0077U) != 0 && !file->has_passphrase()) {
        context.console.warn("others on this machine can read the owner key " + path + "; 'chmod 600' it");
    }
    return std::optional<KeyFile>{std::move(*file)};
}

base::Result<base::SigningKey> unlock(Context& context, const KeyFile& file, const std::string& path) {
    const auto open = [&](std::string_view passphrase) -> base::Result<base::SigningKey> {
        auto key = file.open(passphrase);
        if (!key) return key.error().with("cannot unlock the owner key " + path);
        return key;
    };
    if (!file.has_passphrase()) return open({});
    BASE_TRY(const auto given, given_passphrase(context.settings, context.io.environment()));
    if (given) return open(given->view());
    for (int attempt = 1;; ++attempt) {
        auto typed = context.io.ask_secret("Passphrase of the owner key: ");
        if (!typed && typed.error() == base::Errc::denied) {
            return base::Error{Errc::no_passphrase, "cannot unlock the owner key " + path};
        }
        if (!typed) return typed.error();
        const Passphrase passphrase{std::move(*typed)};
        auto key = open(passphrase.view());
        if (key || attempt == kTries || !(key.error() == base::Errc::wrong_key)) return key;
        context.io.err("That is not it, try again.\n");
    }
}

base::Result<KeyFile> owner_key_file(Context& context) {
    const auto& [path, source] = context.settings.value("key_file");
    auto read = read_key_file(context, path);
    if (!read && read.error() == base::Errc::corrupt) return base::Error{Errc::key_damaged, "cannot use " + path};
    if (!read && is_empty(path)) return base::Error{Errc::key_damaged, "cannot use " + path + ", which is empty"};
    if (!read && read.error() == base::Errc::bad_format) {
        return base::Error{base::Errc::bad_format,
                           read.error().detail() + "; 'pelago key import FILE --replace' puts another one there"};
    }
    if (!read) return read.error();
    if (*read) return std::move(**read);
    // On the command line a file is meant that is there; a setting says where the key is to be.
    const bool named = source == "--key-file";
    const bool used = holds_archives(DataDirectory{context.settings.get("dir")});
    const std::string what = "cannot find " + path;
    if (!named && !used) return base::Error{Errc::no_key, what};
    return base::Error{Errc::key_missing,
                       what + (named ? " (from " + source + ")" : ", which opens what was archived here")};
}

base::Result<base::SigningKey> owner_key(Context& context, IfNoKey if_none) {
    const std::string& path = context.settings.get("key_file");
    auto file = owner_key_file(context);
    const bool never = !file && file.error() == Errc::no_key;
    const bool missing = !file && file.error() == Errc::key_missing;
    if ((never && if_none != IfNoKey::refuse) || (missing && if_none == IfNoKey::make)) {
        BASE_CHECK(make_owner_key(context, path));
        file = owner_key_file(context);
    }
    if (!file) return file.error();
    return unlock(context, *file, path);
}

}  // namespace tools
