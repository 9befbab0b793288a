// pelago key ...
#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/host/host_rng.hpp"
#include "cli/families.hpp"
#include "cli/files.hpp"
#include "cli/text.hpp"
#include "cli/verbs.hpp"
#include "keys/owner_key.hpp"
#include "session/data_directory.hpp"

namespace tools {

namespace {

constexpr std::size_t kMostOldBytes = 1U << 20U;  // of whatever lies where the key should

struct Located {
    std::string path;
    KeyFile file;
};

base::Result<Located> locate(Context& context) {
    BASE_TRY(auto file, owner_key_file(context));
    return Located{context.settings.get("key_file"), std::move(file)};
}

base::Result<ExitCode> show(Context& context) {
    BASE_TRY(const Located key, locate(context));
    if (context.console.output().json) {
        context.console.print_json(nlohmann::json{{"file", key.path},
                                                  {"public_key", base::to_hex(key.file.public_key)},
                                                  {"passphrase", key.file.has_passphrase()}});
        return ExitCode::done;
    }
    context.console.print("file        " + printable(key.path) + "\npublic key  " + base::to_hex(key.file.public_key) +
                          "\npassphrase  " + (key.file.has_passphrase() ? "yes" : "no") + "\n");
    return ExitCode::done;
}

/// Unlocking first proves that what is carried away can be opened again.
base::Result<ExitCode> export_to(Context& context, const std::string& target) {
    BASE_TRY(const Located key, locate(context));
    BASE_CHECK(unlock(context, key.file, key.path));
    if (auto written = write_new_file(target, base::as_bytes(key.file.encode())); !written) {
        return written.error().with("cannot write the recovery file");
    }
    if (context.console.output().json) {
        context.console.print_json({{"file", target}, {"passphrase", key.file.has_passphrase()}});
    }
    const std::string protection = key.file.has_passphrase() ? "It opens with the key's passphrase."
                                                             : "It has no passphrase: whoever has it, has the key.";
    context.console.note("wrote the recovery file " + printable(target) + "\n" + protection +
                         " Keep it away from this machine; bring it back with\n  pelago key import FILE");
    return ExitCode::done;
}

/// What is there under the key's name, be it damaged.
base::Result<void> keep_old_key(Context& context, const std::string& path, const std::string& suffix) {
    const std::string beside = path + suffix;
    BASE_TRY(const auto bytes, read_small_file(path, kMostOldBytes));
    if (!bytes) return base::ok();
    auto kept = write_new_file(beside, *bytes);
    if (!kept && !(kept.error() == base::Errc::exists)) return kept.error().with("cannot keep the old owner key");
    context.console.note("kept the old key as " + printable(beside));
    return base::ok();
}

base::Result<ExitCode> import_from(Context& context, const std::string& source, bool replace) {
    BASE_TRY(const auto file, read_key_file(context, source));
    if (!file) return base::Error{base::Errc::not_found, "cannot import " + source};
    BASE_CHECK(unlock(context, *file, source));
    const std::string& path = context.settings.get("key_file");
    const auto old = read_key_file(context, path);
    const bool damaged = !old && (old.error() == base::Errc::corrupt || old.error() == base::Errc::bad_format);
    if (!old && !damaged) return old.error();
    const bool other = damaged || (*old && (*old)->public_key != file->public_key);
    if (other && !replace) {
        return base::Error{Errc::key_exists, "cannot import over " + path + " (it is " +
                                                 (damaged ? "damaged" : "another key") +
                                                 "; --replace keeps it beside)"};
    }
    if (other) BASE_CHECK(keep_old_key(context, path, damaged ? ".damaged" : ".old-" + (*old)->name()));
    BASE_CHECK(check_new(data_directory(context.settings)));
    BASE_CHECK(make_directories(parent_path(path)));
    const std::string text = file->encode();
    const bool there = damaged || *old;
    auto written = there ? replace_small_file(path, base::as_bytes(text)) : write_new_file(path, base::as_bytes(text));
    if (!written) return written.error().with("cannot import the owner key");
    if (context.console.output().json) {
        context.console.print_json({{"key", file->name()}, {"file", path}, {"replaced", other}});
    }
    context.console.note("imported owner key " + file->name() + " to " + printable(path));
    return ExitCode::done;
}

struct PasswdOptions {
    std::string new_password_file;
    bool no_password = false;
};

base::Result<Passphrase> new_passphrase(Context& context, const PasswdOptions& options) {
    if (options.no_password) return Passphrase{{}};
    if (!options.new_password_file.empty())
        return passphrase_from_file(options.new_password_file, "--new-password-file", Errc::usage);
    auto typed = ask_new_passphrase(context.io);
    if (!typed && typed.error() == base::Errc::denied) {
        return usage_error("cannot ask for the new passphrase without a terminal; give --new-password-file FILE");
    }
    return typed;
}

base::Result<ExitCode> passwd(Context& context, const PasswdOptions& options) {
    BASE_TRY(const Located key, locate(context));
    BASE_TRY(const base::SigningKey owner, unlock(context, key.file, key.path));
    BASE_TRY(const Passphrase passphrase, new_passphrase(context, options));
    base::host::HostRng rng;
    BASE_TRY(const KeyFile sealed, KeyFile::seal(owner, passphrase.view(), rng));
    const auto names = names_of(key.path);
    if (auto written = replace_small_file(key.path, base::as_bytes(sealed.encode())); !written) {
        return written.error().with("cannot change the passphrase");
    }
    if (context.console.output().json) {
        context.console.print_json({{"file", key.path}, {"passphrase", sealed.has_passphrase()}});
    }
    if (names > 1) {
        context.console.warn(key.path + " has " + plural(names - 1, "other name", "other names") +
                             " (hard links): the key is still there as it was before");
    }
    context.console.note(sealed.has_passphrase()
                             ? "changed the passphrase; recovery files made earlier keep theirs"
                             : "removed the passphrase: whoever can read " + printable(key.path) + " has the key");
    return ExitCode::done;
}

}  // namespace

void add_key_verbs(Verbs& verbs) {
    CLI::App& group = verbs.group("key", "Manage the owner's key, which opens everything else");
    verbs.add(group, {"show", "Print where the key is, and its public half", "key show"}, show);

    const auto target = std::make_shared<std::string>();
    verbs
        .add(group,
             {"export", "Write a recovery file", "key export /media/usb/pelago-recovery.key",
              "The file is protected by the key's passphrase, if it has one. It is never overwritten."},
             [target](Context& context) { return export_to(context, *target); })
        .add_option("FILE", *target, "Where to; must not exist")
        ->required();

    const auto source = std::make_shared<std::string>();
    const auto replace = std::make_shared<bool>(false);
    CLI::App& import =
        verbs.add(group, {"import", "Use the key of a recovery file", "key import /media/usb/pelago-recovery.key"},
                  [=](Context& context) { return import_from(context, *source, *replace); });
    import.add_option("FILE", *source, "What 'key export' wrote")->required();
    import.add_flag("--replace", *replace, "Use it instead of the present key, which is kept beside");

    const auto options = std::make_shared<PasswdOptions>();
    CLI::App& change = verbs.add(group,
                                 {"passwd", "Change, set or remove the passphrase of the key",
                                  "key passwd\nkey passwd --new-password-file /root/new-passphrase"},
                                 [options](Context& context) { return passwd(context, *options); });
    auto* file =
        change.add_option("--new-password-file", options->new_password_file, "The new one: first line of this file");
    change.add_flag("--no-password", options->no_password, "Remove the passphrase")->excludes(file);
}

}  // namespace tools
