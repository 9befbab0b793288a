#include "volume/access.hpp"

#include <CLI/CLI.hpp>

#include "keys/owner_key.hpp"
#include "objstore/error.hpp"
#include "volume/known_names.hpp"

namespace tools {

base::Result<VolumeAccess> open_volume(Context& context, const std::string& name, IfAbsent if_absent) {
    const bool may_make = if_absent == IfAbsent::make_default && name == kDefaultVolume;
    BASE_TRY(const base::SigningKey owner, may_make ? owner_key(context) : existing_owner_key(context));
    VolumeAccess access;
    BASE_TRY(access.session, Session::open(context));
    Session& session = *access.session;
    auto volume =
        session.run(objstore::Volume::open(session.env(), session.storage(), session.high_water(), owner, name));
    if (!volume && volume.error() == objstore::Errc::no_such_volume && may_make) {
        volume =
            session.run(objstore::Volume::create(session.env(), session.storage(), session.high_water(), owner, name));
        if (volume) context.console.note("created volume '" + name + "'");
    }
    if (!volume) return volume.error().with("cannot open volume '" + name + "'");
    access.volume = std::move(*volume);
    BASE_CHECK(remember_name(session.env().disk, name));
    return access;
}

void add_volume_option(CLI::App& verb, std::string& volume) {
    verb.add_option("--volume", volume, "Volume to use (also: PELAGO_VOLUME; default: archive)")->type_name("NAME");
}

}  // namespace tools
