#include "mount/undelete.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "base/error.hpp"
#include "cli/files.hpp"
#include "cli/text.hpp"
#include "fuse/volume_files.hpp"
#include "mount/copy_tree.hpp"
#include "mount/mount_table.hpp"

namespace tools {

namespace {

struct Options {
    std::string path;
    std::string to;
    std::string version;
};

base::Error failed(const std::string& what) {
    const int code = errno;
    return {base::from_errno(code), what + ": " + std::strerror(code)};
}

base::Result<std::optional<struct stat>> look_at(const std::string& path) {
    struct stat found{};
    if (::lstat(path.c_str(), &found) == 0) return std::optional{found};
    if (errno == ENOENT || errno == ENOTDIR) return std::optional<struct stat>{};
    return failed("cannot look at " + path);
}

/// A path that need not be there: the nearest directory above it that is, and the names from there on.
struct Place {
    std::string directory;
    std::vector<std::string> names;
    [[nodiscard]] std::string below(const std::string& top) const {
        auto path = top;
        for (const auto& name : names) path = join_path(path, name);
        return path;
    }
};

base::Result<Place> place_of(const std::string& path) {
    Place place;
    auto rest = path;
    while (rest.size() > 1 && rest.back() == '/') rest.pop_back();
    for (;;) {
        auto above = parent_path(rest);
        if (above.empty()) above = rest.starts_with('/') ? "/" : ".";
        auto name = rest.substr(rest.rfind('/') + 1);
        if (name.empty() || name == "." || name == "..") return usage_error("give the path with the name that is lost");
        place.names.insert(place.names.begin(), std::move(name));
        struct stat found{};
        if (::stat(above.c_str(), &found) == 0 && S_ISDIR(found.st_mode)) {
            BASE_TRY(place.directory, real_directory(above));
            return place;
        }
        if (above == rest) return failed("cannot look at " + above);
        rest = std::move(above);
    }
}

struct Version {
    std::string name;
    std::int64_t time_ns = 0;
};

/// The newest first.
base::Result<std::vector<Version>> versions_of(const std::string& directory) {
    const auto past = join_path(directory, fusefs::kSnapshotsName);
    const std::unique_ptr<DIR, int (*)(DIR*)> listed{::opendir(past.c_str()), ::closedir};
    if (!listed) return failed("cannot list " + past);
    std::vector<Version> versions;
    errno = 0;
    while (const auto* const entry = ::readdir(listed.get())) {
        Version version{static_cast<const char*>(entry->d_name), 0};
        if (version.name == "." || version.name == "..") continue;
        std::array<char, 32> text{};
        const auto top = join_path(past, version.name);
        const auto length = ::getxattr(top.c_str(), "user.pelago.time", text.data(), text.size());
        if (length > 0) std::from_chars(text.data(), text.data() + length, version.time_ns);
        versions.push_back(std::move(version));
        errno = 0;
    }
    if (errno != 0) return failed("cannot list " + past);
    std::ranges::stable_sort(versions, std::greater<>{}, &Version::time_ns);
    return versions;
}

bool same_file(const struct stat& a, const struct stat& b) {
    return (a.st_mode & S_IFMT) == (b.st_mode & S_IFMT) && a.st_size == b.st_size &&
           a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

struct Found {
    std::string version;
    std::string top;  // the directory as it was
    std::string path;
};

/// The newest version that has it, and not as it is. Where the nearest directory was made anew since, those above it
/// know of the one before: up to the root of the mount. `place` is then as seen from there.
base::Result<Found> find(Place* place, const std::optional<struct stat>& present, const Options& options) {
    for (auto seen = *place;;) {
        BASE_TRY(const auto versions, versions_of(seen.directory));
        for (const auto& version : versions) {
            if (!options.version.empty() && version.name != options.version) continue;
            Found found;
            found.version = version.name;
            found.top = join_path(join_path(seen.directory, fusefs::kSnapshotsName), version.name);
            found.path = seen.below(found.top);
            BASE_TRY(const auto was, look_at(found.path));
            if (!was || (options.version.empty() && present && same_file(*was, *present))) continue;
            *place = std::move(seen);
            return found;
        }
        const auto mounted = mount_of(seen.directory);
        const auto above = parent_path(seen.directory);
        if (!mounted || above.empty() || mounted->directory == seen.directory) break;
        seen.names.insert(seen.names.begin(), seen.directory.substr(seen.directory.rfind('/') + 1));
        seen.directory = above;
    }
    const auto which = options.version.empty() ? std::string{"no version that is kept"} : "version " + options.version;
    return base::Error{base::Errc::not_found, options.path + (present ? " in another state" : "") + " is in " + which +
                                                  "; 'pelago volume log' lists what is kept"};
}

/// Under its name only once it is whole.
base::Result<CopiedTree> bring_back(const std::string& from, const std::string& to) {
    BASE_TRY(const auto beside, TemporaryDirectory::make(parent_path(to), ".pelago-undelete-"));
    const auto made = join_path(beside->path(), "copy");
    BASE_TRY(const auto copied, copy_tree(from, made));
    if (::renameat2(AT_FDCWD, made.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) != 0)
        return failed("cannot give " + to + " its name");
    return copied;
}

base::Result<ExitCode> undelete(Context& context, const Options& options) {
    BASE_TRY(auto place, place_of(options.path));
    const auto mounted = mount_of(place.directory);
    if (!mounted || mounted->type != kMountType)
        return base::Error{Errc::not_mounted,
                           "cannot look for " + options.path + ": no volume is mounted on " + place.directory};
    const auto path = place.below(place.directory);
    BASE_TRY(const auto present, look_at(path));
    if (present && options.to.empty()) {
        return base::Error{base::Errc::exists,
                           path + " is there; give --to another name to have an earlier state of it"};
    }
    BASE_TRY(const auto target, place_of(options.to.empty() ? path : options.to));
    const auto to = target.below(target.directory);
    BASE_TRY(const auto taken, look_at(to));
    if (taken) return base::Error{base::Errc::exists, to + " is there; nothing was done"};
    if (!options.to.empty() && target.names.size() > 1)
        return base::Error{base::Errc::not_found, "there is no directory " + parent_path(to)};
    BASE_TRY(const auto found, find(&place, present, options));
    // Directories that went with it come back as they were, without what else was in them.
    if (options.to.empty()) {
        auto from = found.top;
        auto above = place.directory;
        for (std::size_t i = 0; i + 1 < place.names.size(); ++i) {
            from = join_path(from, place.names[i]);
            above = join_path(above, place.names[i]);
            BASE_TRY(const auto there, look_at(above));
            if (!there) BASE_CHECK(copy_directory_alone(from, above));
        }
    }
    BASE_TRY(const auto copied, bring_back(found.path, to));
    if (context.console.output().json) {
        context.console.print_json({{"message_type", "undeleted"},
                                    {"path", to},
                                    {"version", found.version},
                                    {"files", copied.files},
                                    {"directories", copied.directories},
                                    {"bytes", copied.bytes}});
    } else {
        context.console.note(printable(to) + " is back as it was in " + printable(found.version) + ": " +
                             plural(copied.files, "file", "files") + ", " + human_size(copied.bytes));
    }
    return ExitCode::done;
}

}  // namespace

void add_undelete_verb(Verbs& verbs) {
    const auto options = std::make_shared<Options>();
    auto& verb = verbs.add({"undelete", "Bring back what was removed from a mounted volume",
                            "undelete ~/photos/2026/coast.jpg\nundelete ~/photos/letter --to ~/photos/letter.before",
                            "Looks through the .snapshots of the nearest directory that is still there, from the "
                            "newest version back, and copies the file or directory with all its attributes. What is "
                            "there is never replaced: --to brings an earlier state of it beside it."},
                           [options](Context& context) { return undelete(context, *options); });
    verb.add_option("path", options->path, "Where it was")->type_name("PATH")->required();
    verb.add_option("--to", options->to, "Another name for it")->type_name("PATH");
    verb.add_option("--from", options->version, "From this version, as .snapshots names it")->type_name("VERSION");
}

}  // namespace tools
