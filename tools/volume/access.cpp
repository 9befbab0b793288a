#include "volume/access.hpp"

#include <CLI/CLI.hpp>

#include "base/error.hpp"
#include "keys/owner_key.hpp"
#include "objstore/error.hpp"
#include "volume/known_names.hpp"

namespace tools {

base::Result<VolumeAccess> open_volume(Context& context, const std::string& name, IfAbsent if_absent) {
    const bool may_make = if_absent == IfAbsent::make_default && name == kDefaultVolume;
    BASE_TRY(const base::SigningKey owner, owner_key(context, may_make ? IfNoKey::make_at_first_use : IfNoKey::refuse));
    VolumeAccess access;
    BASE_TRY(access.session, Session::open(context));
    Session& session = *access.session;
    auto volume =
        session.run(objstore::Volume::open(session.env(), session.storage(), session.high_water(), owner, name),
                    "the holders of volume '" + name + "'");
    if (!volume && volume.error() == objstore::Errc::no_such_volume && may_make) {
        volume =
            session.run(objstore::Volume::create(session.env(), session.storage(), session.high_water(), owner, name));
        if (volume) context.console.note("created volume '" + name + "'");
    }
    if (!volume) {
        // What this client keeps of its own is named by its path in there.
        const bool ours = volume.error() == base::Errc::corrupt;
        return volume.error().with("cannot open volume '" + name + "'" +
                                   (ours ? ", in " + session.directory().client() : ""));
    }
    access.volume = std::move(*volume);
    BASE_CHECK(remember_name(session.env().disk, name));
    return access;
}

ExitCode report_damage(Context& context, const objstore::Volume& volume, ExitCode otherwise, bool written_anew) {
    const auto& damage = volume.damage();
    if (!damage) return otherwise;
    if (damage->complete) {
        context.console.warn("a block of the list of snapshots is lost (" + damage->error.message() +
                             "); its spare copy was used, and " +
                             (written_anew ? "both were written again" : "a backup writes both again"));
        return otherwise;
    }
    return context.console.fail(damage->error.with(
        written_anew ? "the list of snapshots was damaged, and is written anew without those that were lost with it"
                     : "the list of snapshots is damaged, some may be missing; a backup makes it whole again"));
}

base::Error no_snapshot(const base::Error& why, const objstore::Volume& volume, const std::string& what) {
    const auto& damage = volume.damage();
    if (!(why == objstore::Errc::no_such_snapshot)) return why.with(what);
    if (!damage || damage->complete) return {why.code(), what};
    return damage->error.with(what + ": it is not in what is left of the list of snapshots");
}

void add_volume_option(CLI::App& verb, std::string& volume) {
    verb.add_option("--volume", volume, "Volume to use (also: PELAGO_VOLUME; default: archive)")->type_name("NAME");
}

}  // namespace tools
