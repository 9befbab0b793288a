// pelago volume ...
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "cli/families.hpp"
#include "cli/text.hpp"
#include "cli/verbs.hpp"
#include "keys/owner_key.hpp"
#include "objstore/error.hpp"
#include "volume/access.hpp"
#include "volume/conflicts.hpp"
#include "volume/known_names.hpp"

namespace tools {

namespace {

/// What there is to say about a volume.
struct VolumeInfo {
    std::string name;
    base::Guid aguid;
    objstore::VolumeState state;
    std::vector<objstore::Snapshot> snapshots;
};

base::Result<VolumeInfo> describe_volume(Session& session, objstore::Volume& volume) {
    VolumeInfo info{volume.name(), volume.keys().aguid, volume.state(), {}};
    BASE_TRY(info.snapshots, session.run(volume.snapshots()));
    return info;
}

nlohmann::json to_json(const VolumeInfo& info) {
    nlohmann::json object{{"name", info.name},
                          {"aguid", info.aguid.hex()},
                          {"sequence", info.state.sequence},
                          {"changed", rfc3339(info.state.time_ns)},
                          {"snapshots", info.snapshots.size()}};
    if (!info.snapshots.empty()) {
        object["latest_snapshot"] = info.snapshots.back().id().hex();
        object["latest_bytes"] = info.snapshots.back().bytes;
    }
    return object;
}

base::Result<ExitCode> create(Context& context, const std::string& name) {
    BASE_CHECK(check_volume_name(name));
    BASE_TRY(const base::SigningKey owner, owner_key(context, IfNoKey::make));
    BASE_TRY(const auto session, Session::open(context));
    const auto volume =
        session->run(objstore::Volume::create(session->env(), session->storage(), session->high_water(), owner, name));
    if (!volume) return volume.error().with("cannot create volume '" + name + "'");
    BASE_CHECK(session->run(remember_name(session->env(), name)));
    if (context.console.output().json) {
        BASE_TRY(const VolumeInfo info, describe_volume(*session, **volume));
        context.console.print_json(to_json(info));
    } else {
        context.console.note("created volume '" + name + "', " + (*volume)->keys().aguid.short_hex());
    }
    return ExitCode::done;
}

base::Result<ExitCode> info(Context& context, const std::string& name) {
    BASE_TRY(const VolumeAccess access, open_volume_to_read(context, name));
    BASE_TRY(const VolumeInfo info, describe_volume(*access.session, *access.volume));
    if (context.console.output().json) {
        context.console.print_json(to_json(info));
        return report_damage(context, *access.volume, ExitCode::done);
    }
    std::string text =
        fmt::format("name       {}\naguid      {}\nsequence   {}\nchanged    {}\nsnapshots  {}\n", printable(info.name),
                    info.aguid.hex(), info.state.sequence, local_time(info.state.time_ns), info.snapshots.size());
    if (!info.snapshots.empty()) {
        const auto& latest = info.snapshots.back();
        text += fmt::format("latest     {}, {} in {}\n", latest.id().short_hex(), human_size(latest.bytes),
                            plural(latest.files, "file", "files"));
    }
    context.console.print(text);
    return report_damage(context, *access.volume, ExitCode::done);
}

/// A known name, and what came of opening it.
struct Listed {
    std::string name;
    base::Guid aguid;
    std::optional<VolumeInfo> info;    // nullopt: it could not be opened
    std::optional<base::Error> error;  // of opening it, or of its list of snapshots
    bool unconfirmed = false;          // there may be a newer state; it was warned of
};

/// Opens each known name; those that are not there (any more) are left out, the others are listed whatever comes of it.
base::Result<std::vector<Listed>> find_volumes(Console& console, Session& session, const base::SigningKey& owner) {
    BASE_TRY(const auto names, known_names(session.env().disk));
    std::vector<Listed> found;
    for (const auto& name : names) {
        Listed listed{name, objstore::VolumeKeys::of_owner(owner, name).aguid, {}, {}, false};
        const auto volume = open_by_name_to_read(session, console, owner, name);
        if (!volume && volume.error() == objstore::Errc::no_such_volume) continue;
        auto info = volume ? describe_volume(session, **volume) : base::Result<VolumeInfo>{volume.error()};
        if (!info && info.error() == base::Errc::interrupted) return info.error();
        listed.error = info ? damage_of_list(**volume) : std::optional{info.error().with("cannot open it")};
        if (info) {
            listed.unconfirmed = (*volume)->unconfirmed().has_value();
            warn_of_spare_copy(console, **volume, "volume '" + name + "': ");
            warn_of_later_snapshots(console, **volume, "volume '" + name + "': ");
            listed.info = std::move(*info);
        }
        found.push_back(std::move(listed));
    }
    return found;
}

nlohmann::json to_json(const Listed& volume) {
    auto object =
        volume.info ? to_json(*volume.info) : nlohmann::json{{"name", volume.name}, {"aguid", volume.aguid.hex()}};
    if (volume.error) {
        object["error"] = {{"code", static_cast<int>(exit_code(volume.error->code()))},
                           {"message", describe(*volume.error)}};
    }
    return object;
}

void print_table(Console& console, const std::vector<Listed>& volumes) {
    using enum Table::Align;
    Table table{{"NAME", "AGUID", "SNAPSHOTS", "LATEST", "CHANGED"}, {left, left, right, right, left}};
    for (const auto& volume : volumes) {
        if (!volume.info) {
            table.add({volume.name, volume.aguid.short_hex(), "?", "?", volume.error->code().message()});
            continue;
        }
        const auto& snapshots = volume.info->snapshots;
        table.add({volume.name, volume.aguid.short_hex(), human_count(snapshots.size()) + (volume.error ? "?" : ""),
                   snapshots.empty() ? "-" : human_size(snapshots.back().bytes),
                   local_time(volume.info->state.time_ns)});
    }
    if (!table.empty()) console.print(table.str());
    console.note(plural(volumes.size(), "volume", "volumes"));
}

base::Result<ExitCode> list(Context& context) {
    BASE_TRY(const base::SigningKey owner, owner_key(context, IfNoKey::refuse));
    BASE_TRY(const auto session, Session::open(context));
    BASE_TRY(const auto volumes, find_volumes(context.console, *session, owner));
    Console& console = context.console;
    if (console.output().json) {
        auto document = nlohmann::json::array();
        for (const auto& volume : volumes) document.push_back(to_json(volume));
        console.print_json(document);
    } else {
        print_table(console, volumes);
    }
    ExitCode exit = ExitCode::done;
    for (const auto& volume : volumes) {
        if (volume.unconfirmed) exit = worse(exit, ExitCode::partial);
        if (volume.error) exit = worse(exit, console.fail(volume.error->with("volume '" + volume.name + "'")));
    }
    return exit;
}

}  // namespace

void add_volume_verbs(Verbs& verbs) {
    CLI::App& group = verbs.group("volume", "Create, list and inspect volumes");
    const auto created = std::make_shared<std::string>();
    verbs
        .add(group, {"create", "Make an empty volume", "volume create photos"},
             [created](Context& context) { return create(context, *created); })
        .add_option("NAME", *created, "Its name under your key")
        ->required();
    verbs.add(
        group,
        {"list", "List your volumes", "volume list",
         "A volume's name is part of its key and is told to nobody. So the list holds the names that were used on "
         "this machine; 'pelago volume info NAME' adds one that was made elsewhere with the same key."},
        list);
    const auto asked = std::make_shared<std::string>();
    verbs
        .add(group, {"info", "Show one volume", "volume info archive"},
             [asked](Context& context) { return info(context, *asked); })
        .add_option("NAME", *asked, "The volume")
        ->required();
    add_conflicts_verb(verbs, group);
}

}  // namespace tools
