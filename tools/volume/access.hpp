// A volume as one command uses it: the session below it, the key that opens it, and the volume itself.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/crypto.hpp"
#include "base/result.hpp"
#include "cli/verbs.hpp"
#include "objstore/volume.hpp"
#include "session/session.hpp"

namespace CLI {
class App;
}

namespace tools {

/// What goes on behind a volume's commits is awaited, however the verb ends.
struct FinishVolume {
    Session* session = nullptr;
    void operator()(objstore::Volume* volume) const {
        session->finish(*volume);
        delete volume;  // NOLINT(cppcoreguidelines-owning-memory): a deleter
    }
};
using FinishedVolume = std::unique_ptr<objstore::Volume, FinishVolume>;

struct VolumeAccess {
    std::unique_ptr<Session> session;
    FinishedVolume volume;  // goes before what it stands on
};

enum class IfAbsent {
    refuse,
    make_default,  ///< a volume with the default name is made at first use, and said so; any other name may be a typo
};

/// Opens the volume of this name under the owner's key. Errors begin with "cannot open volume 'name'".
[[nodiscard]] base::Result<VolumeAccess> open_volume(Context& context, const std::string& name, IfAbsent if_absent);
/// The same of what is in another data directory, which `context` has the settings of; its coroutines may await those
/// of `other`.
[[nodiscard]] base::Result<VolumeAccess> open_volume_beside(Context& context, const Session& other,
                                                            const std::string& name, IfAbsent if_absent);
/// open_volume() for a verb that only reads: where most of those that keep the volume's newest state are gone, it opens
/// as the others show it, and warns of that at once. report_damage() has the exit code for it.
[[nodiscard]] base::Result<VolumeAccess> open_volume_to_read(Context& context, const std::string& name);

/// Of this machine's archive::DedupCache of the volume.
[[nodiscard]] std::string dedup_cache_path(const objstore::Volume& volume);
/// `error`; but a snapshot that was not found is damage where snapshots may be missing from the list.
[[nodiscard]] base::Error in_view_of_damage(const base::Error& error, const objstore::Volume& volume);
/// Volume::open(), for all who open one by its name here. Files of the client that its errors speak of are named whole.
[[nodiscard]] base::Result<std::unique_ptr<objstore::Volume>> open_by_name(Session& session,
                                                                           const base::SigningKey& owner,
                                                                           const std::string& name,
                                                                           objstore::VolumeConfig config = {});
/// Volume::open() as open_volume_to_read() does it, with its warning.
[[nodiscard]] base::Result<std::unique_ptr<objstore::Volume>> open_by_name_to_read(Session& session, Console& console,
                                                                                   const base::SigningKey& owner,
                                                                                   const std::string& name);
/// What reading the list of snapshots met (Volume::damage()), if snapshots may be missing from it.
[[nodiscard]] std::optional<base::Error> damage_of_list(const objstore::Volume& volume);
/// Warns if reading the list met damage that its spare copy made good. `prefix`: which volume, where that is not plain.
void warn_of_spare_copy(Console& console, const objstore::Volume& volume, const std::string& prefix = {});
/// Warns of snapshots that a later version made: this one keeps them and cannot show them. `prefix`: as above.
void warn_of_later_snapshots(Console& console, const objstore::Volume& volume, const std::string& prefix = {});
/// Says all three, and returns how the command ends: damage if snapshots may be missing; else `otherwise`, or partial
/// where that is done and the volume's state is unconfirmed.
[[nodiscard]] ExitCode report_damage(Context& context, const objstore::Volume& volume, ExitCode otherwise);

/// `--volume NAME` for a verb.
void add_volume_option(CLI::App& verb, std::string& volume);

}  // namespace tools
