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
#include "mount/directory.hpp"
#include "mount/mount_table.hpp"

namespace tools {

namespace {

struct Options {
    std::string path;
    std::string to;
    std::string version;
};

base::Result<std::optional<struct stat>> look_at(const std::string& path) {
    struct stat found{};
    if (::lstat(path.c_str(), &found) == 0) return std::optional{found};
    if (errno == ENOENT || errno == ENOTDIR) return std::optional<struct stat>{};
    return failed_call("cannot look at " + path);
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
        if (above == rest) return failed_call("cannot look at " + above);
        rest = std::move(above);
    }
}

struct Version {
    std::string name;
    std::int64_t time_ns = 0;
};

/// The newest first.
base::Result<std::vector<Version>> versions_in(const Directory& past) {
    const std::unique_ptr<DIR, int (*)(DIR*)> listed{::opendir(past.at(".").c_str()), ::closedir};
    if (!listed) return failed_call("cannot list " + past.path_of(""));
    std::vector<Version> versions;
    errno = 0;
    while (const auto* const entry = ::readdir(listed.get())) {
        Version version{static_cast<const char*>(entry->d_name), 0};
        if (version.name == "." || version.name == "..") continue;
        std::array<char, 32> text{};
        const auto length = ::getxattr(past.at(version.name).c_str(), "user.pelago.time", text.data(), text.size());
        if (length > 0) std::from_chars(text.data(), text.data() + length, version.time_ns);
        versions.push_back(std::move(version));
        errno = 0;
    }
    if (errno != 0) return failed_call("cannot list " + past.path_of(""));
    std::ranges::stable_sort(versions, std::greater<>{}, &Version::time_ns);
    return versions;
}

bool same_file(const struct stat& a, const struct stat& b) {
    return (a.st_mode & S_IFMT) == (b.st_mode & S_IFMT) && a.st_size == b.st_size &&
           a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

struct Found {
    std::string version;
    Directory top;   // the directory as it was
    Directory from;  // that what is looked for was in
};

/// Nullopt if it is not there, also if a symbolic link is in its place.
base::Result<std::optional<Directory>> directory_in(const Directory& above, const std::string& name) {
    auto entered = above.enter(name);
    if (entered) return std::optional{*std::move(entered)};
    const auto& error = entered.error();
    if (error == base::Errc::not_found || error == base::Errc::bad_argument) return std::optional<Directory>{};
    return error;
}

base::Result<std::optional<Found>> find_in(const Directory& past, const std::string& version, const Place& seen,
                                           const std::optional<struct stat>& not_as) {
    BASE_TRY(auto top, directory_in(past, version));
    BASE_TRY(auto from, directory_in(past, version));
    for (std::size_t i = 0; from && i + 1 < seen.names.size(); ++i) {
        BASE_TRY(from, directory_in(*from, seen.names[i]));
    }
    if (!top || !from) return std::optional<Found>{};
    const auto was = look_at(from->at(seen.names.back()));
    if (!was) return from->in_words(was.error());
    if (!*was || (not_as && same_file(**was, *not_as))) return std::optional<Found>{};
    return std::optional{Found{version, *std::move(top), *std::move(from)}};
}

/// The newest version that has it, and not as it is. Where the nearest directory was made anew since, those above it
/// know of the one before: up to the root of the mount. `place` is then as seen from there.
base::Result<Found> find(Place* place, const std::optional<struct stat>& present, const Options& options) {
    for (auto seen = *place;;) {
        BASE_TRY(const auto directory, Directory::open(seen.directory));
        BASE_TRY(const auto past, directory.enter(fusefs::kSnapshotsName));
        BASE_TRY(const auto versions, versions_in(past));
        for (const auto& version : versions) {
            if (!options.version.empty() && version.name != options.version) continue;
            const auto not_as = options.version.empty() ? present : std::nullopt;
            BASE_TRY(auto found, find_in(past, version.name, seen, not_as));
            if (!found) continue;
            *place = std::move(seen);
            return *std::move(found);
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

/// Under its name only once it is whole; until then where only who runs this can come.
template <class Make>
base::Result<void> make_in(const Directory& directory, const std::string& name, Make make) {
    const auto made = [&]() -> base::Result<void> {
        BASE_TRY(const auto beside, TemporaryDirectory::make(directory.at(""), ".pelago-undelete-"));
        BASE_TRY(const auto inside, directory.enter(beside->path().substr(beside->path().rfind('/') + 1)));
        if (!inside.is_ours_alone())
            return base::Error{base::Errc::denied, "cannot use " + beside->path() + ": it is another's by now"};
        const auto copy = inside.at("copy");
        const base::Result<void> done = make(copy);
        if (!done) return inside.in_words(done.error());
        const auto to = directory.at(name);
        if (::renameat2(AT_FDCWD, copy.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) != 0)
            return failed_call("cannot give " + to + " its name");
        return base::ok();
    }();
    if (!made) return directory.in_words(made.error());
    return base::ok();
}

/// Directories that went with it come back as they were, without what else was in them. The one that it was in.
base::Result<Directory> directory_of(const Place& place, const Found& found) {
    BASE_TRY(auto above, Directory::open(place.directory));
    std::optional<Directory> was;
    for (std::size_t i = 0; i + 1 < place.names.size(); ++i) {
        const auto& name = place.names[i];
        const auto& in = was ? *was : found.top;
        auto next = above.enter(name);
        if (!next && next.error() == base::Errc::not_found) {
            const auto made =
                make_in(above, name, [&](const std::string& to) { return copy_directory_alone(in.at(name), to); });
            if (!made) return in.in_words(made.error());
            next = above.enter(name);
        }
        if (!next) return next.error();
        BASE_TRY(was, in.enter(name));
        above = *std::move(next);
    }
    return above;
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
    BASE_TRY(const auto into, options.to.empty() ? directory_of(place, found) : Directory::open(target.directory));
    CopiedTree copied;
    const auto& name = place.names.back();
    const auto done = make_in(into, target.names.back(), [&](const std::string& made) -> base::Result<void> {
        BASE_TRY(copied, copy_tree(found.from.at(name), made));
        return base::ok();
    });
    if (!done) return found.from.in_words(done.error());
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
