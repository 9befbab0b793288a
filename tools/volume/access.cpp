#include "volume/access.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "keys/owner_key.hpp"
#include "objstore/error.hpp"
#include "volume/known_names.hpp"

namespace tools {

namespace {

constexpr std::string_view kDamagedList = "the list of snapshots is damaged, some may be missing from it";

void warn_of_unconfirmed(Console& console, const objstore::Volume& volume) {
    const auto& unconfirmed = volume.unconfirmed();
    if (!unconfirmed) return;
    console.warn(fmt::format(
        "only {} of the {} nodes that keep the newest state of volume '{}' answered: this is the newest that "
        "is known there, and newer snapshots may be missing; see who is down with 'pelago node status'",
        unconfirmed->answered, unconfirmed->holders, volume.name()));
}

}  // namespace

base::Result<VolumeAccess> open_volume_to_read(Context& context, const std::string& name) {
    BASE_CHECK(check_volume_name(name));
    BASE_TRY(const base::SigningKey owner, owner_key(context, IfNoKey::refuse));
    VolumeAccess access;
    BASE_TRY(access.session, Session::open(context));
    auto volume = open_by_name_to_read(*access.session, context.console, owner, name);
    if (!volume) return volume.error().with("cannot open volume '" + name + "'");
    access.volume = FinishedVolume{volume->release(), {access.session.get()}};
    BASE_CHECK(access.session->run(remember_name(access.session->env(), name)));
    return access;
}

namespace {

/// `other`: null, or as in open_volume_beside().
base::Result<VolumeAccess> open_volume(Context& context, const Session* other, const std::string& name,
                                       IfAbsent if_absent) {
    BASE_CHECK(check_volume_name(name));
    const bool may_make = if_absent == IfAbsent::make_default && name == kDefaultVolume;
    BASE_TRY(const base::SigningKey owner, owner_key(context, may_make ? IfNoKey::make_at_first_use : IfNoKey::refuse));
    VolumeAccess access;
    BASE_TRY(access.session, other != nullptr ? Session::open_beside(context, *other) : Session::open(context));
    Session& session = *access.session;
    auto volume = open_by_name(session, owner, name);
    if (!volume && volume.error() == objstore::Errc::no_such_volume && may_make) {
        volume =
            session.run(objstore::Volume::create(session.env(), session.storage(), session.high_water(), owner, name));
        if (volume) context.console.note("created volume '" + name + "'");
    }
    if (!volume) return volume.error().with("cannot open volume '" + name + "'");
    access.volume = FinishedVolume{volume->release(), {access.session.get()}};
    BASE_CHECK(session.run(remember_name(session.env(), name)));
    return access;
}

}  // namespace

base::Result<VolumeAccess> open_volume(Context& context, const std::string& name, IfAbsent if_absent) {
    return open_volume(context, nullptr, name, if_absent);
}

base::Result<VolumeAccess> open_volume_beside(Context& context, const Session& other, const std::string& name,
                                              IfAbsent if_absent) {
    return open_volume(context, &other, name, if_absent);
}

base::Result<std::unique_ptr<objstore::Volume>> open_by_name(Session& session, const base::SigningKey& owner,
                                                             const std::string& name, objstore::VolumeConfig config) {
    auto volume =
        session.run(objstore::Volume::open(session.env(), session.storage(), session.high_water(), owner, name, config),
                    "the holders of volume '" + name + "'");
    if (volume || !volume.error().detail().starts_with(std::string{kMarksDirectory} + "/")) return volume;
    return base::Error{volume.error().code(), join_path(session.directory().client(), volume.error().detail())};
}

base::Result<std::unique_ptr<objstore::Volume>> open_by_name_to_read(Session& session, Console& console,
                                                                     const base::SigningKey& owner,
                                                                     const std::string& name) {
    objstore::VolumeConfig config;
    config.take_unconfirmed = true;
    auto volume = open_by_name(session, owner, name, config);
    if (volume) warn_of_unconfirmed(console, **volume);
    return volume;
}

std::optional<base::Error> damage_of_list(const objstore::Volume& volume) {
    const auto& damage = volume.damage();
    if (!damage || damage->complete) return std::nullopt;
    return damage->error.with(kDamagedList);
}

void warn_of_spare_copy(Console& console, const objstore::Volume& volume, const std::string& prefix) {
    const auto& damage = volume.damage();
    if (!damage || !damage->complete) return;
    console.warn(prefix + "a block of the list of snapshots is lost (" + damage->error.message() +
                 "); its spare copy was used, and a backup writes both again");
}

void warn_of_later_snapshots(Console& console, const objstore::Volume& volume, const std::string& prefix) {
    for (const auto& id : volume.later_snapshots()) {
        console.warn(prefix + "snapshot " + id + " was made by a later version of pelago: it is kept, and not shown");
    }
}

ExitCode report_damage(Context& context, const objstore::Volume& volume, ExitCode otherwise) {
    warn_of_spare_copy(context.console, volume);
    warn_of_later_snapshots(context.console, volume);
    if (!damage_of_list(volume)) return volume.unconfirmed() ? worse(otherwise, ExitCode::partial) : otherwise;
    return context.console.fail(
        volume.damage()->error.with(std::string{kDamagedList} + "; the next backup writes a list of what is left"));
}

std::string dedup_cache_path(const objstore::Volume& volume) { return "dedup-" + volume.keys().aguid.hex(); }

base::Error in_view_of_damage(const base::Error& error, const objstore::Volume& volume) {
    const auto damage = damage_of_list(volume);
    return damage && error == objstore::Errc::no_such_snapshot ? damage->with("no such snapshot is there") : error;
}

void add_volume_option(CLI::App& verb, std::string& volume) {
    // A script whose own variable is unset is to hear of it, not to write to another volume.
    const auto is_name = [](const std::string& name) { return name.empty() ? std::string{"a volume has a name"} : ""; };
    verb.add_option("--volume", volume, "Volume to use (also: PELAGO_VOLUME; default: archive)")
        ->type_name("NAME")
        ->check(is_name);
}

}  // namespace tools
