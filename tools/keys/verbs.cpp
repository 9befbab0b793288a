// pelago key ...
#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/host/host_rng.hpp"
#include "cli/families.hpp"
#include "cli/files.hpp"
#include "cli/text.hpp"
#include "cli/verbs.hpp"
#include "keys/owner_key.hpp"
#include "keys/verbs.hpp"
#include "session/data_directory.hpp"

namespace tools {

namespace {

constexpr std::size_t kMostOldBytes = 1U << 20U;  // of whatever lies where the key should

struct Located {
    std::string path;
    KeyFile file;
    KeyFile as_read;
};

base::Result<Located> locate(Context& context) {
    BASE_TRY(auto file, owner_key_file(context));
    auto as_read = file;
    return Located{context.settings.get("key_file"), std::move(file), std::move(as_read)};
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
    BASE_TRY(const auto bytes, read_small_file(path, kMostOldBytes));
    if (!bytes) return base::ok();
    for (int number = 1;; ++number) {
        const std::string beside = path + suffix + (number == 1 ? "" : "-" + std::to_string(number));
        const auto kept = write_new_file(beside, *bytes);
        if (!kept && !(kept.error() == base::Errc::exists)) return kept.error().with("cannot keep the old owner key");
        BASE_TRY(const auto there, read_small_file(beside, kMostOldBytes));
        if (!there || *there != *bytes) continue;
        context.console.note("kept the old key as " + printable(beside));
        return base::ok();
    }
}

base::Result<ExitCode> import_from(Context& context, const std::string& source, bool replace) {
    BASE_TRY(const auto file, read_key_file(context, source));
    if (!file) return base::Error{base::Errc::not_found, "cannot import " + source};
    BASE_CHECK(unlock(context, *file, source));
    const std::string& path = context.settings.get("key_file");
    const auto old = read_key_file(context, path);
    const bool damaged = !old && (old.error() == base::Errc::corrupt || old.error() == base::Errc::bad_format);
    if (!old && !damaged) return old.error();
    const bool same_key = !damaged && *old && (*old)->public_key == file->public_key;
    // Passphrases that were added since would be lost, and those that were removed would open it again.
    const bool other = damaged || (*old && (*old)->encode() != file->encode());
    if (other && !replace) {
        return base::Error{Errc::key_exists, "cannot import over " + path + " (it is " +
                                                 (damaged    ? "damaged"
                                                  : same_key ? "the same key, with other passphrases"
                                                             : "another key") +
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

struct PassphraseOptions {
    std::string new_password_file;
    bool no_password = false;
    std::string label;  // empty: that of the slot, or user@host
};

base::Result<Passphrase> new_passphrase(Context& context, const PassphraseOptions& options) {
    if (options.no_password) return Passphrase{{}};
    if (!options.new_password_file.empty())
        return passphrase_from_file(options.new_password_file, "--new-password-file", Errc::usage);
    auto typed = ask_new_passphrase(context.io);
    if (!typed && typed.error() == base::Errc::denied) {
        return usage_error("cannot ask for the new passphrase without a terminal; give --new-password-file FILE");
    }
    return typed;
}

base::Result<void> write_key(Context& context, const Located& key, const std::string& cannot) {
    const auto names = names_of(key.path);
    const auto is_as_read = [&](base::ByteView now) {
        const auto file = KeyFile::decode(now);
        return file && *file == key.as_read;
    };
    const auto text = key.file.encode();
    const auto written = change_small_file(key.path, kMaxKeyFileBytes, is_as_read, base::as_bytes(text));
    if (!written) {
        return written.error().with(cannot);
    }
    if (names > 1) {
        context.console.warn(key.path + " has " + plural(names - 1, "other name", "other names") +
                             " (hard links): the key is still there as it was before");
    }
    return base::ok();
}

base::Result<ExitCode> passwd(Context& context, const PassphraseOptions& options) {
    BASE_TRY(Located key, locate(context));
    BASE_TRY(const auto opened, unlock(context, key.file, key.path));
    const bool several = key.file.slots.size() > 1;
    if (options.no_password && several)
        return usage_error(
            "cannot remove the last passphrase while there are others; 'pelago key remove' removes them");
    BASE_TRY(const Passphrase passphrase, new_passphrase(context, options));
    base::host::HostRng rng;
    KeyLabel label{options.label.empty() ? key.file.slots[opened.slot].label.text : options.label,
                   label_of_now(context).created_ns};
    if (auto put = key.file.put(opened.slot, opened.key, passphrase.view(), std::move(label), rng); !put) {
        return put.error().with("cannot change the passphrase");
    }
    BASE_CHECK(write_key(context, key, "cannot change the passphrase"));
    const bool protects = key.file.has_passphrase();
    if (context.console.output().json) {
        context.console.print_json(
            {{"file", key.path}, {"passphrase", protects}, {"label", key.file.slots[opened.slot].label.text}});
    }
    context.console.note(!protects ? "removed the passphrase: whoever can read " + printable(key.path) + " has the key"
                         : several ? "changed the passphrase '" + printable(key.file.slots[opened.slot].label.text) +
                                         "'; the others, and recovery files made earlier, stay as they are"
                                   : "changed the passphrase; recovery files made earlier keep theirs");
    return ExitCode::done;
}

/// user@host, or with a number behind it.
std::string unused_label(const KeyFile& file, const std::string& wanted) {
    const auto used = [&](const std::string& text) {
        return std::ranges::any_of(file.slots, [&](const KeySlot& slot) { return slot.label.text == text; });
    };
    std::string text = wanted;
    for (int n = 2; used(text); ++n) {
        const auto number = " " + std::to_string(n);
        text = wanted.substr(0, kMaxKeyLabelBytes - number.size()) + number;
    }
    return text;
}

base::Result<ExitCode> add(Context& context, const PassphraseOptions& options) {
    BASE_TRY(Located key, locate(context));
    BASE_TRY(const auto opened, unlock(context, key.file, key.path));
    if (!key.file.has_passphrase())
        return usage_error("cannot add a passphrase to a key without one; 'pelago key passwd' gives it its first");
    BASE_TRY(const Passphrase passphrase, new_passphrase(context, options));
    if (key.file.open(passphrase.view())) return usage_error("cannot add a passphrase that opens the key already");
    base::host::HostRng rng;
    auto label = label_of_now(context);
    label.text = options.label.empty() ? unused_label(key.file, label.text) : options.label;
    const auto shown = label.text;
    if (auto put = key.file.put(std::nullopt, opened.key, passphrase.view(), std::move(label), rng); !put) {
        return put.error().with("cannot add a passphrase");
    }
    BASE_CHECK(write_key(context, key, "cannot add a passphrase"));
    if (context.console.output().json) {
        context.console.print_json({{"file", key.path}, {"number", key.file.slots.size()}, {"label", shown}});
    }
    context.console.note("added passphrase '" + printable(shown) + "'; recovery files made earlier do not have it");
    return ExitCode::done;
}

base::Result<ExitCode> list(Context& context) {
    BASE_TRY(const Located key, locate(context));
    using enum Table::Align;
    Table table{{"N", "LABEL", "CREATED", "PASSPHRASE"}, {right, left, left, left}};
    auto document = nlohmann::json::array();
    for (std::size_t i = 0; i < key.file.slots.size(); ++i) {
        const auto& label = key.file.slots[i].label;
        document.push_back({{"number", i + 1},
                            {"label", label.text},
                            {"created", rfc3339(label.created_ns)},
                            {"passphrase", key.file.has_passphrase()}});
        table.add({std::to_string(i + 1), printable(label.text), local_time(label.created_ns),
                   key.file.has_passphrase() ? "yes" : "none"});
    }
    if (context.console.output().json) {
        context.console.print_json(document);
    } else {
        context.console.print(table.str());
    }
    return ExitCode::done;
}

/// By label; else by number.
base::Result<std::size_t> slot_called(const KeyFile& file, const std::string& name) {
    for (std::size_t i = 0; i < file.slots.size(); ++i) {
        if (file.slots[i].label.text == name) return i;
    }
    for (std::size_t i = 0; i < file.slots.size(); ++i) {
        if (std::to_string(i + 1) == name) return i;
    }
    return usage_error("the key has no passphrase '" + name + "'; 'pelago key list' shows them");
}

/// The one that was given stays: so whoever removes one has another.
base::Result<ExitCode> remove(Context& context, const std::string& name) {
    BASE_TRY(Located key, locate(context));
    BASE_TRY(const std::size_t slot, slot_called(key.file, name));
    const auto label = key.file.slots[slot].label.text;
    if (key.file.slots.size() == 1)
        return usage_error("cannot remove the only passphrase; 'pelago key passwd' changes it");
    BASE_TRY(const auto opened, unlock(context, key.file, key.path));
    if (opened.slot == slot)
        return usage_error("cannot remove the passphrase that was given; give another one that the key has");
    key.file.slots.erase(key.file.slots.begin() + static_cast<std::ptrdiff_t>(slot));
    BASE_CHECK(write_key(context, key, "cannot remove the passphrase"));
    if (context.console.output().json) context.console.print_json({{"file", key.path}, {"removed", label}});
    context.console.note("removed passphrase '" + printable(label) +
                         "'; recovery files and copies of the key made earlier still have it");
    return ExitCode::done;
}

CLI::Option* add_new_passphrase_options(CLI::App& verb, PassphraseOptions& options) {
    verb.add_option("--label", options.label, "What 'key list' calls it; default user@host")->type_name("LABEL");
    return verb.add_option("--new-password-file", options.new_password_file, "The new one: first line of this file")
        ->type_name("FILE");
}

}  // namespace

void add_passphrase_verbs(Verbs& verbs, CLI::App& group) {
    // The same verbs are there as 'key' and, where restic's users look for them, as 'archive key'.
    const auto above = group.get_parent()->get_name();
    const std::string words = above == "archive" ? "archive key " : "key ";
    const auto changed = std::make_shared<PassphraseOptions>();
    CLI::App& change =
        verbs.add(group,
                  {"passwd", "Change, set or remove the passphrase of the key",
                   (words + "passwd\n" + words + "passwd --new-password-file /root/new-passphrase").c_str(),
                   "Of a key with several, the one that was given."},
                  [changed](Context& context) { return passwd(context, *changed); });
    auto* file = add_new_passphrase_options(change, *changed);
    change.add_flag("--no-password", changed->no_password, "Remove the passphrase")->excludes(file);

    const auto added = std::make_shared<PassphraseOptions>();
    add_new_passphrase_options(
        verbs.add(
            group,
            {"add", "Let another passphrase open the key, too",
             (words + "add --label ann\n" + words + "add --label backup-service --new-password-file /root/passphrase")
                 .c_str(),
             "A key has up to 8; each opens all of it. They are tried in their order, about half a second each."},
            [added](Context& context) { return add(context, *added); }),
        *added);

    verbs.add(group, {"list", "List the passphrases of the key", (words + "list").c_str()}, list);

    const auto removed = std::make_shared<std::string>();
    verbs
        .add(group,
             {"remove", "Remove a passphrase of the key", (words + "remove ann\n" + words + "remove 2").c_str(),
              "Another one is asked for, and stays. Whoever kept a copy of the key file can still open that."},
             [removed](Context& context) { return remove(context, *removed); })
        .add_option("PASSPHRASE", *removed, "Its label or number, as 'key list' shows them")
        ->required()
        ->type_name("LABEL|N");
}

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

    add_passphrase_verbs(verbs, group);
}

}  // namespace tools
