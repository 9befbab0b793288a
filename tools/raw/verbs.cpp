// pelago put, get, remove: PAST itself, one block at a time, as it is.
#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "cli/families.hpp"
#include "cli/files.hpp"
#include "cli/text.hpp"
#include "cli/verbs.hpp"
#include "keys/owner_key.hpp"
#include "past/storage.hpp"
#include "session/session.hpp"

namespace tools {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMaxRawBytes = 1U << 20U;
constexpr auto kTimeout = 60s;

/// Raw blocks belong to a key. The generation is the time, so that a put after a remove is newer than what was removed.
past::Tag raw_tag(const base::SigningKey& owner, base::Clock& clock) {
    const base::Guid guid = past::volume_guid(owner.public_key(), past::raw_name_digest());
    return {past::volume_tag(guid), static_cast<std::uint64_t>(clock.wall_ns())};
}

base::Result<base::Bytes> read_block(Context& context, const std::string& path) {
    const auto too_long = [&] {
        return usage_error("cannot put " + path + ": a block is at most 1 MiB; 'pelago archive backup' takes any size");
    };
    if (path == "-") {
        auto bytes = context.io.read_input(kMaxRawBytes);
        if (!bytes && bytes.error() == base::Errc::bad_argument) return too_long();
        return bytes;
    }
    auto bytes = read_small_file(path, kMaxRawBytes);
    if (!bytes && bytes.error() == base::Errc::bad_argument) return too_long();
    if (!bytes && bytes.error() == std::errc::is_a_directory) {
        return usage_error("cannot put " + path + ": it is a directory; 'pelago archive backup' keeps directories");
    }
    if (!bytes) return bytes.error().with("cannot put");
    if (!*bytes) return base::Error{base::Errc::not_found, "cannot put " + path};
    return std::move(**bytes);
}

base::Result<base::Guid> parse_id(const std::string& text) {
    const auto id = base::Guid::from_hex(text);
    if (!id) return usage_error("'" + text + "' is not the id of a block; it has 64 hexadecimal digits");
    return *id;
}

base::Result<ExitCode> put(Context& context, const std::string& path) {
    BASE_TRY(base::Bytes bytes, read_block(context, path));
    BASE_TRY(const base::SigningKey owner, owner_key(context, IfNoKey::make_at_first_use));
    BASE_TRY(const auto session, Session::open(context));
    const base::Guid id = base::sha256(bytes);
    const std::size_t size = bytes.size();
    std::vector<past::Block> blocks;
    blocks.push_back({id, std::move(bytes)});
    auto env = session->env();
    const auto outcome = session->run(session->storage().put(id, raw_tag(owner, env.clock), std::move(blocks),
                                                             past::Wait::full, env.clock.now() + kTimeout),
                                      "the copies of the block");
    if (!outcome) return outcome.error().with("cannot put " + path);
    context.console.note("stored as it is, not encrypted: whoever knows the id can read it");
    if (context.console.output().json) {
        context.console.print_json({{"id", id.hex()},
                                    {"bytes", size},
                                    {"copies_wanted", outcome->copies_wanted},
                                    {"copies_possible", outcome->copies_possible},
                                    {"copies_stored", outcome->copies_stored}});
    } else {
        context.console.print(id.hex() + "\n");
    }
    if (outcome->copies_stored >= outcome->copies_possible) return ExitCode::done;
    context.console.warn(std::to_string(outcome->copies_stored) + " of " +
                         plural(outcome->copies_possible, "copy", "copies") +
                         "; the nodes go on copying by themselves");
    return ExitCode::partial;
}

base::Result<base::SharedBytes> fetch(Session& session, const base::Guid& id) {
    auto env = session.env();
    auto bytes = session.run(session.storage().get(id, id, env.clock.now() + kTimeout), "the holders of the block");
    // Nothing says that it was ever put: an id may be mistyped, and a block be removed.
    if (!bytes && bytes.error() == past::Errc::block_not_found) return base::Error{Errc::no_block};
    return bytes;
}

base::Result<ExitCode> get(Context& context, const std::string& text, const std::string& output) {
    BASE_TRY(const base::Guid id, parse_id(text));
    BASE_TRY(const auto session, Session::open(context));
    const auto bytes = fetch(*session, id);
    if (!bytes) return bytes.error().with("cannot get " + text);
    if (!output.empty()) {
        if (auto written = write_new_file(output, *bytes); !written) return written.error().with("cannot write");
        if (context.console.output().json) {
            context.console.print_json({{"id", id.hex()}, {"bytes", bytes->size()}, {"file", output}});
        }
        context.console.note("wrote " + human_size(bytes->size()) + " to " + printable(output));
        return ExitCode::done;
    }
    if (context.console.output().json) return usage_error("cannot put a block into JSON; give --output FILE");
    const std::string_view content = base::as_text(*bytes);
    if (context.io.environment().out_is_terminal && content.find('\0') != std::string_view::npos) {
        return usage_error("will not write binary data to a terminal; give --output FILE");
    }
    context.console.print(content);
    return ExitCode::done;
}

base::Result<ExitCode> remove(Context& context, const std::string& text, bool dry_run) {
    BASE_TRY(const base::Guid id, parse_id(text));
    BASE_TRY(const base::SigningKey owner, owner_key(context, IfNoKey::refuse));
    BASE_TRY(const auto session, Session::open(context));
    const auto bytes = fetch(*session, id);
    const bool damaged = !bytes && bytes.error() == past::Errc::corrupt_block;  // that is no reason to keep it
    if (!bytes && !damaged) return bytes.error().with("cannot remove " + text);
    auto env = session->env();
    if (!dry_run) {
        past::Reclaim reclaim{id, raw_tag(owner, env.clock), owner.public_key(), past::raw_name_digest(), {id}};
        reclaim.at_once = true;
        reclaim.signature = owner.sign("pelago reclaim", reclaim.body());
        const auto removed = session->run(session->storage().remove(std::move(reclaim), env.clock.now() + kTimeout));
        if (!removed) return removed.error().with("cannot remove " + text);
    }
    if (context.console.output().json) {
        const auto size = damaged ? nlohmann::json() : nlohmann::json(bytes->size());
        context.console.print_json({{"id", id.hex()}, {"bytes", size}, {"dry_run", dry_run}});
    } else if (damaged) {
        context.console.note(std::string{dry_run ? "would give up" : "gave up"} + " the block, which was damaged");
    } else {
        context.console.note((dry_run ? "would give back " : "gave back ") + human_size(bytes->size()) +
                             " a copy, unless another key put it too");
    }
    return ExitCode::done;
}

}  // namespace

void add_raw_verbs(Verbs& verbs) {
    const auto file = std::make_shared<std::string>();
    verbs
        .add({"put", "Store one file of at most 1 MiB as one unencrypted block", "put notes.txt",
              "The block is not encrypted and is tagged with your key. Its id, the SHA-256 of its bytes, is printed."},
             [file](Context& context) { return put(context, *file); })
        .add_option("FILE", *file, "What to store; - is standard input")
        ->required();

    const auto wanted = std::make_shared<std::string>();
    const auto output = std::make_shared<std::string>();
    CLI::App& get_verb = verbs.add({"get", "Write a block to standard output",
                                    "get 5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03 > notes.txt"},
                                   [=](Context& context) { return get(context, *wanted, *output); });
    get_verb.add_option("ID", *wanted, "What 'pelago put' printed")->required();
    get_verb.add_option("-o,--output", *output, "Write this file instead; must not exist")->type_name("FILE");

    const auto unwanted = std::make_shared<std::string>();
    const auto dry_run = std::make_shared<bool>(false);
    CLI::App& remove_verb = verbs.add({"remove", "Delete a block that 'put' stored with your key",
                                       "remove 5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"},
                                      [=](Context& context) { return remove(context, *unwanted, *dry_run); });
    remove_verb.add_option("ID", *unwanted, "What 'pelago put' printed")->required();
    remove_verb.add_flag("-n,--dry-run", *dry_run, "Say how many bytes come back, remove nothing");
}

}  // namespace tools
