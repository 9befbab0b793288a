// The directory of a store: lock, FORMAT, folders.
#include <algorithm>

#include "base/error.hpp"
#include "store/recovery.hpp"

namespace past::store {
namespace {

using base::Disk;
using base::Result;

/// The id in the first file of the store whose header is whole; not_found if there are no files, corrupt if none is.
Result<StoreId> id_from_files(Disk& disk, const std::string& directory) {
    bool files = false;
    for (auto kind : {FileKind::segment, FileKind::log, FileKind::checkpoint}) {
        const auto folder = directory + (kind == FileKind::segment ? "/segments" : "/state");
        BASE_TRY(const auto entries, disk.list(folder));
        for (const auto& entry : entries) {
            const auto number = number_in(entry.name, kind);
            if (number == 0) continue;
            BASE_TRY(const auto file, disk.open(folder + "/" + entry.name, Disk::Mode::read));
            base::Bytes bytes(kFileHeaderBytes);
            const auto got = file->read_at(0, bytes);
            if (!got || *got == 0) continue;
            files = true;
            const auto header = FileHeader::decode(bytes);
            if (header) return header->store;
            if (header.error() == base::Errc::unsupported) return header.error().with(entry.name);
        }
    }
    if (files) return base::Error{base::Errc::corrupt, directory + ": FORMAT and the header of every file"};
    return base::Error{base::Errc::not_found, directory};
}

Result<StoreId> read_format(Disk& disk, base::Log& log, const std::string& directory, Access access,
                            const StoreId& fresh_id) {
    const auto path = directory + "/FORMAT";
    const auto bytes = base::read_file(disk, path, 4096);
    if (bytes) {
        const auto id = decode_format(*bytes);
        if (id) return *id;
        if (id.error() == base::Errc::unsupported) return id.error().with(path + " was written by a later version");
    } else if (bytes.error() != base::Errc::not_found && bytes.error() != base::Errc::bad_format) {
        return bytes.error();
    }
    auto id = id_from_files(disk, directory);
    if (access == Access::read) return id;
    if (!id && id.error() != base::Errc::not_found) return id;
    if (id)
        log.write(base::Log::Level::warning, "past", path + " was missing or damaged: made again from the segments");
    const auto chosen = id ? *id : fresh_id;
    BASE_CHECK(base::replace_file(disk, path, encode_format(chosen)));
    return chosen;
}

}  // namespace

Result<StoreId> enter_directory(Disk& disk, base::Log& log, const std::string& directory, Access access,
                                const StoreId& fresh_id, std::unique_ptr<base::DirectoryLock>& lock) {
    const auto named = [&](const base::Error& error) { return error.with("block store in " + directory); };
    if (access == Access::full) {
        if (auto made = disk.make_directory(directory); !made) return named(made.error());
    }
    auto locked = disk.lock(directory + "/LOCK");
    if (!locked) return named(locked.error());
    lock = std::move(*locked);
    if (access == Access::read) {
        auto id = read_format(disk, log, directory, access, fresh_id);
        return id ? id : named(id.error());
    }
    for (const auto* folder : {"/segments", "/state"}) {
        if (auto made = disk.make_directory(directory + folder); !made) return named(made.error());
    }
    auto id = read_format(disk, log, directory, access, fresh_id);
    if (!id) return named(id.error());
    const auto slash = directory.rfind('/');
    const auto parent = slash == std::string::npos ? std::string{} : directory.substr(0, slash);
    for (const auto& folder : {parent, directory, directory + "/segments", directory + "/state"}) {
        if (auto synced = disk.sync_directory(folder); !synced) return named(synced.error());
    }
    return id;
}

}  // namespace past::store
