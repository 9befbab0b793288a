// pelago archive ls
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "archive/reports.hpp"
#include "archive/verbs.hpp"
#include "cli/text.hpp"
#include "objstore/archive/listing.hpp"
#include "objstore/archive/snapshot_reader.hpp"
#include "volume/access.hpp"

namespace tools {

namespace {

using base::FileType;
using objstore::archive::ListedFile;

struct Options {
    std::string what;
    bool recursive = false;
    bool long_format = false;
    FilterOptions filter;
    std::string volume;
};

const char* type_name(FileType type) {
    switch (type) {
        case FileType::regular: return "file";
        case FileType::directory: return "dir";
        case FileType::symlink: return "symlink";
        case FileType::fifo: return "fifo";
        case FileType::socket: return "socket";
        case FileType::character: return "chardev";
        case FileType::block: return "dev";
    }
    return "";
}

char type_letter(FileType type) {
    switch (type) {
        case FileType::regular: return '-';
        case FileType::directory: return 'd';
        case FileType::symlink: return 'l';
        case FileType::fifo: return 'p';
        case FileType::socket: return 's';
        case FileType::character: return 'c';
        case FileType::block: return 'b';
    }
    return '?';
}

/// "drwxr-sr-x", as ls -l has it.
std::string mode_text(FileType type, std::uint32_t mode) {
    std::string text(1, type_letter(type));
    constexpr std::string_view kLetters = "rwxrwxrwx";
    for (unsigned i = 0; i < 9; ++i) text += (mode & (0400U >> i)) != 0 ? kLetters[i] : '-';
    const auto special = [&](std::uint32_t bit, std::size_t at, char letter) {
        if ((mode & bit) == 0) return;
        text[at] = text[at] == 'x' ? letter : static_cast<char>(letter - 'a' + 'A');
    };
    special(04000, 3, 's');
    special(02000, 6, 's');
    special(01000, 9, 't');
    return text;
}

std::string line(const ListedFile& file, bool long_format) {
    if (!long_format) return printable(file.path) + "\n";
    const auto& inode = file.inode;
    const std::string time = objstore::archive::is_leading(inode) ? "-" : local_time(inode.mtime);
    std::string text = fmt::format("{} {:>3} {:>5} {:>5} {:>12} {:19} {}", mode_text(inode.type, inode.mode),
                                   inode.nlink, inode.uid, inode.gid, inode.size, time, printable(file.path));
    if (inode.type == FileType::symlink) text += " -> " + printable(file.target);
    return text + "\n";
}

nlohmann::json node(const ListedFile& file) {
    const auto& inode = file.inode;
    nlohmann::json object{{"message_type", "node"},
                          {"path", file.path},
                          {"type", type_name(inode.type)},
                          {"mode", inode.mode},
                          {"permissions", mode_text(inode.type, inode.mode)},
                          {"uid", inode.uid},
                          {"gid", inode.gid},
                          {"size", inode.size},
                          {"mtime", nullptr},
                          {"inode", file.number},
                          {"links", inode.nlink}};
    if (!objstore::archive::is_leading(inode)) object["mtime"] = rfc3339(inode.mtime);
    if (inode.type == FileType::symlink) object["linktarget"] = file.target;
    return object;
}

base::Result<ExitCode> list(Context& context, const Options& options) {
    const auto [name, path] = objstore::archive::parse_snapshot_path(options.what);
    BASE_TRY(const VolumeAccess access, open_volume_to_read(context, context.settings.get("volume", options.volume)));
    Session& session = *access.session;
    BASE_TRY(const auto snapshot, choose_snapshot(access, name, options.filter, "cannot list '" + options.what + "'"));
    Console& console = context.console;
    const bool json = console.manner().json;
    if (json) {
        auto head = to_json(snapshot);
        head["message_type"] = "snapshot";
        console.print_json(head);
    }
    // As restic does: a snapshot is listed whole, a directory of it as ls(1) would.
    const bool whole = options.what.find(':') == std::string::npos;
    const auto show = [&](const ListedFile& file) {
        if (whole && file.path == "/") return;
        if (json) {
            console.print_json(node(file));
        } else {
            console.print(line(file, options.long_format));
        }
    };
    const auto listed =
        session.run(objstore::archive::list_files(*access.volume, snapshot, path, whole || options.recursive, show));
    if (!listed) return listed.error().with("cannot list '" + options.what + "'");
    print_warnings(console, *listed);
    return report_damage(context, *access.volume, exit_code_of(*listed));
}

}  // namespace

void add_ls(Verbs& verbs, CLI::App& archive) {
    const auto options = std::make_shared<Options>();
    CLI::App& verb =
        verbs.add(archive,
                  {"ls", "List the files of a snapshot", "archive ls latest\narchive ls -l 40dc1520:/home/ann",
                   "Of a snapshot, every path; of SNAP:/directory, what is in it, with -r everything below it."},
                  [options](Context& context) { return list(context, *options); });
    verb.add_option("SNAP", options->what, "Snapshot id (its first digits), or 'latest'; SNAP:/path for a part of it")
        ->required();
    verb.add_flag("-r,--recursive", options->recursive, "Everything below, too");
    verb.add_flag("-l,--long", options->long_format, "Mode, links, owner, size and time, too");
    options->filter.add_to(verb);
    add_volume_option(verb, options->volume);
}

}  // namespace tools
