// pelago volume conflicts
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "cli/text.hpp"
#include "objstore/live/order.hpp"
#include "objstore/live/working_tree.hpp"
#include "volume/access.hpp"
#include "volume/conflicts.hpp"

namespace tools {

namespace {

struct Options {
    std::string volume;
    std::size_t restore = 0;  // number in the list, from 1; 0: only list
    std::string as;
};

const char* kind_name(objstore::ConflictKind kind) {
    switch (kind) {
        case objstore::ConflictKind::content: return "content";
        case objstore::ConflictKind::name: return "name";
        case objstore::ConflictKind::removed: return "removed";
        case objstore::ConflictKind::rename: return "rename";
    }
    return "unknown";
}

std::string explanation(const objstore::Conflict& conflict) {
    switch (conflict.kind) {
        case objstore::ConflictKind::content: return "written by two: the later content is there, the earlier is kept";
        case objstore::ConflictKind::name: return "made by two: one of them is there, the other is kept";
        case objstore::ConflictKind::removed: return "removed by one, written by another: what was written is kept";
        case objstore::ConflictKind::rename: return "renamed by two: the later rename was left out";
    }
    return "of a later version";
}

/// The directory that a path within the volume names, and the last name of the path.
base::Task<base::Result<std::pair<objstore::InodeNumber, std::string>>> resolve(objstore::WorkingTree* tree,
                                                                                std::string path) {
    auto directory = objstore::kRootInode;
    std::size_t at = path.find_first_not_of('/');
    for (;;) {
        const auto end = path.find('/', at);
        const auto name = path.substr(at, end == std::string::npos ? end : end - at);
        const auto next = end == std::string::npos ? end : path.find_first_not_of('/', end);
        if (next == std::string::npos) co_return std::pair{directory, name};
        BASE_CO_TRY(const auto entry, co_await tree->lookup(directory, name));
        directory = entry.inode;
        at = next;
    }
}

base::Task<base::Result<void>> give_name(objstore::WorkingTree* tree, objstore::ListedConflict conflict,
                                         std::string path) {
    BASE_CO_TRY(auto place, co_await resolve(tree, std::move(path)));
    BASE_CO_CHECK(co_await tree->restore_kept(std::move(conflict), place.first, std::move(place.second)));
    co_return co_await tree->commit();
}

nlohmann::json to_json(std::size_t number, const objstore::ListedConflict& listed) {
    return {{"number", number},
            {"kind", kind_name(listed.conflict.kind)},
            {"path", listed.path.empty() ? listed.conflict.name : listed.path},
            {"time", rfc3339(listed.conflict.time_ns)},
            {"kept", listed.conflict.kept != 0}};
}

void print_list(Console& console, const std::vector<objstore::ListedConflict>& conflicts) {
    if (console.output().json) {
        auto document = nlohmann::json::array();
        for (std::size_t i = 0; i < conflicts.size(); ++i) document.push_back(to_json(i + 1, conflicts[i]));
        console.print_json(document);
        return;
    }
    using enum Table::Align;
    Table table{{"NUMBER", "TIME", "PATH", "WHAT HAPPENED"}, {right, left, left, left}};
    for (std::size_t i = 0; i < conflicts.size(); ++i) {
        const auto& [key, conflict, path] = conflicts[i];
        table.add({std::to_string(i + 1), local_time(conflict.time_ns), printable(path.empty() ? conflict.name : path),
                   explanation(conflict)});
    }
    if (!table.empty()) console.print(table.str());
    console.note(plural(conflicts.size(), "conflict", "conflicts"));
}

/// Nullptr if the volume was never mounted to be written: to look makes no live tree.
base::Task<base::Result<std::unique_ptr<objstore::WorkingTree>>> open_live_tree(base::NodeEnv env,
                                                                                objstore::Volume* volume) {
    auto nodes = std::make_shared<objstore::NodeCache>(objstore::LiveConfig{}.node_cache_bytes);
    const auto order = objstore::make_record_order(env, *volume, std::move(nodes));
    BASE_CO_TRY(const auto newest, co_await order->newest());
    if (newest.root == nullptr) co_return std::unique_ptr<objstore::WorkingTree>{};
    co_return co_await objstore::WorkingTree::open(env, *volume, ::getuid(), ::getgid());
}

base::Result<ExitCode> list_or_restore(Context& context, VolumeAccess& access, const Options& options) {
    auto& session = *access.session;
    BASE_TRY(const auto tree, session.run(open_live_tree(session.env(), access.volume.get())));
    std::vector<objstore::ListedConflict> listed;
    if (tree) {
        BASE_TRY(listed, session.run(tree->conflicts()));
    }
    if (options.restore == 0) {
        print_list(context.console, listed);
        return ExitCode::done;
    }
    if (options.restore > listed.size()) {
        return base::Error{base::Errc::not_found,
                           fmt::format("volume '{}' has no conflict {}; 'pelago volume conflicts {}' lists them",
                                       options.volume, options.restore, options.volume)};
    }
    const auto& chosen = listed[options.restore - 1];
    if (chosen.conflict.kept == 0) return usage_error("nothing was kept of this conflict: there is nothing to restore");
    const auto done = session.run(give_name(tree.get(), chosen, options.as));
    if (!done) return done.error().with("cannot restore it as '" + options.as + "'");
    context.console.note("restored as '" + printable(options.as) + "'");
    return ExitCode::done;
}

base::Result<ExitCode> conflicts(Context& context, const Options& options) {
    if ((options.restore == 0) != options.as.empty()) return usage_error("--restore and --as go together");
    if (options.restore != 0 && options.as.find_first_not_of('/') == std::string::npos) {
        return usage_error("--as wants a path within the volume, such as /letters/draft.mine");
    }
    BASE_TRY(VolumeAccess access, open_volume(context, options.volume, IfAbsent::refuse));
    return list_or_restore(context, access, options);
}

}  // namespace

void add_conflicts_verb(Verbs& verbs, CLI::App& group) {
    const auto options = std::make_shared<Options>();
    auto& verb = verbs.add(
        group,
        {"conflicts", "List conflicting changes of several mounts",
         "volume conflicts photos\nvolume conflicts photos --restore 1 --as /letters/draft.other",
         "When two mounts change the same thing at the same time, one of the changes is in the volume and the other is "
         "kept. --restore gives what was kept a name, and takes it off the list."},
        [options](Context& context) { return conflicts(context, *options); });
    verb.add_option("NAME", options->volume, "The volume")->required();
    verb.add_option("--restore", options->restore, "Give what was kept of this conflict a name")->type_name("NUMBER");
    verb.add_option("--as", options->as, "Path within the volume to restore it as")->type_name("PATH");
}

}  // namespace tools
