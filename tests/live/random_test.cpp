// Random operations: of one mount against a model of a POSIX tree, of several against what must always hold.
#include <cstdlib>
#include <map>
#include <random>

#include "live/live_record.hpp"
#include "live/mounts.hpp"
#include "past/error.hpp"

namespace objstore {
namespace {

using test::LiveTest;

/// Files and directories as POSIX has them, nothing else.
struct Model {
    struct Node {
        bool directory = false;
        std::string bytes;
        std::map<std::string, int> entries;
        std::map<std::string, std::string> xattrs;
        int links = 0;
    };
    std::map<int, Node> nodes{{0, Node{true, {}, {}, {}, 1}}};
    int next = 1;
};

class Random : public LiveTest {
  protected:
    std::uint64_t below(std::uint64_t bound) { return draws_() % bound; }
    std::string some_name() { return "n" + std::to_string(below(6)); }
    /// PELAGO_SEEDS=n for a long run.
    static std::uint64_t seeds(std::uint64_t usual) {
        const char* const set = std::getenv("PELAGO_SEEDS");
        return set == nullptr ? usual : std::strtoull(set, nullptr, 10);
    }
    void remove_all(const Mount& on, InodeNumber directory, const std::string& name) {
        const auto entry = run(on->lookup(directory, name));
        if (entry.type != base::FileType::directory) return run(on->unlink(directory, name));
        for (const auto& inner : names(on, entry.inode)) remove_all(on, entry.inode, inner);
        run(on->remove_directory(directory, name));
    }

    std::mt19937_64 draws_{1};
};

class RandomModel : public Random {
  protected:
    struct Group {
        int model = 0;
        InodeNumber inode = kRootInode;
    };

    /// A directory some steps down from the root.
    Group some_directory(const Mount& on) {
        Group at;
        for (auto depth = below(4); depth > 0; --depth) {
            std::vector<std::string> choice;
            for (const auto& [name, child] : model_.nodes[at.model].entries) {
                if (model_.nodes[child].directory) choice.push_back(name);
            }
            if (choice.empty()) break;
            const auto& name = choice[below(choice.size())];
            at.model = model_.nodes[at.model].entries.at(name);
            at.inode = find(on, at.inode, name);
        }
        return at;
    }
    bool lies_below(int node, int ancestor) {
        if (node == ancestor) return true;
        for (const auto& [name, child] : model_.nodes[ancestor].entries) {
            if (model_.nodes[child].directory && lies_below(node, child)) return true;
        }
        return false;
    }
    void unlink_model(int directory, const std::string& name) {
        const auto child = model_.nodes[directory].entries.at(name);
        model_.nodes[directory].entries.erase(name);
        if (--model_.nodes[child].links == 0) model_.nodes.erase(child);
    }

    void create(const Mount& on) {
        const auto where = some_directory(on);
        const auto name = some_name();
        NewInode what;
        what.type = below(3) == 0 ? base::FileType::directory : base::FileType::regular;
        what.mode = 0644;
        const auto made = world_.run(on->create(where.inode, name, what));
        auto& entries = model_.nodes[where.model].entries;
        ASSERT_EQ(made.has_value(), !entries.contains(name));
        if (!made) return;
        entries[name] = model_.next;
        model_.nodes[model_.next].directory = what.type == base::FileType::directory;
        model_.nodes[model_.next++].links = 1;
    }
    void remove(const Mount& on) {
        const auto where = some_directory(on);
        const auto name = some_name();
        auto& entries = model_.nodes[where.model].entries;
        const bool there = entries.contains(name);
        const bool is_directory = there && model_.nodes[entries[name]].directory;
        const bool empty = !there || model_.nodes[entries[name]].entries.empty();
        const auto done = is_directory || (!there && below(2) == 0)
                              ? world_.run(on->remove_directory(where.inode, name))
                              : world_.run(on->unlink(where.inode, name));
        ASSERT_EQ(done.has_value(), there && (!is_directory || empty)) << name;
        if (done) unlink_model(where.model, name);
    }
    void rename(const Mount& on) {
        const auto from = some_directory(on);
        const auto to = some_directory(on);
        const auto name = some_name();
        const auto new_name = some_name();
        const auto& old_entries = model_.nodes[from.model].entries;
        const auto& new_entries = model_.nodes[to.model].entries;
        const bool there = old_entries.contains(name);
        const int source = there ? old_entries.at(name) : -1;
        const int target = new_entries.contains(new_name) ? new_entries.at(new_name) : -1;
        bool allowed = there;
        if (there && target >= 0 && target != source) {
            allowed = model_.nodes[source].directory == model_.nodes[target].directory &&
                      model_.nodes[target].entries.empty();
        }
        if (there && model_.nodes[source].directory && lies_below(to.model, source)) allowed = source == target;
        const auto done = world_.run(on->rename(from.inode, name, to.inode, new_name));
        ASSERT_EQ(done.has_value(), allowed) << name << " to " << new_name << (done ? "" : done.error().message());
        if (!done || source == target) return;
        if (target >= 0) unlink_model(to.model, new_name);
        model_.nodes[from.model].entries.erase(name);
        model_.nodes[to.model].entries[new_name] = source;
    }
    /// What the model calls a regular file, and its number; -1 if there is none.
    Group some_file(const Mount& on) {
        auto where = some_directory(on);
        std::vector<std::string> choice;
        for (const auto& [name, child] : model_.nodes[where.model].entries) {
            if (!model_.nodes[child].directory) choice.push_back(name);
        }
        if (choice.empty()) return {-1, 0};
        const auto& name = choice[below(choice.size())];
        return {model_.nodes[where.model].entries.at(name), find(on, where.inode, name)};
    }
    void write_some(const Mount& on) {
        const auto file = some_file(on);
        if (file.model < 0) return;
        auto& bytes = model_.nodes[file.model].bytes;
        const auto offset = below(4) == 0 ? bytes.size() : below(bytes.size() + 5'000);
        const std::string data(1 + below(below(8) == 0 ? 300'000 : 5'000), static_cast<char>('a' + below(26)));
        write(on, file.inode, offset, data);
        if (bytes.size() < offset + data.size()) bytes.resize(offset + data.size());
        bytes.replace(offset, data.size(), data);
    }
    void reshape(const Mount& on) {
        const auto file = some_file(on);
        if (file.model < 0) return;
        auto& bytes = model_.nodes[file.model].bytes;
        switch (below(3)) {
            case 0: {
                const auto size = below(bytes.size() + 2'000);
                run(on->resize(file.inode, size));
                bytes.resize(size);
                break;
            }
            case 1: {
                const auto offset = below(bytes.size() + 1);
                const auto length = std::min<std::uint64_t>(below(3'000), bytes.size() - offset);
                run(on->punch(file.inode, offset, length));
                bytes.replace(offset, length, std::string(length, '\0'));
                break;
            }
            default: {
                const auto other = some_file(on);
                if (other.model < 0 || other.model == file.model || bytes.empty()) break;
                const auto offset = below(bytes.size());
                const auto length = std::min<std::uint64_t>(1 + below(200'000), bytes.size() - offset);
                const auto piece = bytes.substr(offset, length);
                auto& to = model_.nodes[other.model].bytes;
                const auto at = below(to.size() + 100);
                EXPECT_EQ(run(on->copy_range(file.inode, offset, other.inode, at, length)), length);
                if (to.size() < at + length) to.resize(at + length);
                to.replace(at, length, piece);
            }
        }
    }
    void link(const Mount& on) {
        const auto file = some_file(on);
        const auto where = some_directory(on);
        const auto name = some_name();
        if (file.model < 0) return;
        const auto done = world_.run(on->link(file.inode, where.inode, name));
        auto& entries = model_.nodes[where.model].entries;
        ASSERT_EQ(done.has_value(), !entries.contains(name));
        if (!done) return;
        entries[name] = file.model;
        ++model_.nodes[file.model].links;
    }
    void step(const Mount& on) {
        switch (below(8)) {
            case 0:
            case 1: return create(on);
            case 2: return remove(on);
            case 3: return rename(on);
            case 4:
            case 5: return write_some(on);
            case 6: return reshape(on);
            default: return link(on);
        }
    }
    void compare(const Mount& on, int node, InodeNumber inode, const std::string& path) {
        const auto& expected = model_.nodes.at(node);
        const auto is = run(on->get(inode));
        if (!expected.directory) {
            EXPECT_EQ(is.nlink, static_cast<std::uint64_t>(expected.links)) << path;
            EXPECT_EQ(is.size, expected.bytes.size()) << path;
            EXPECT_TRUE(read(on, inode) == expected.bytes) << path;
            return;
        }
        std::vector<std::string> wanted;
        std::uint64_t links = 2;
        for (const auto& [name, child] : expected.entries) {
            wanted.push_back(name);
            if (model_.nodes.at(child).directory) ++links;
        }
        ASSERT_EQ(names(on, inode), wanted) << path;
        EXPECT_EQ(is.nlink, links) << path;
        for (const auto& [name, child] : expected.entries) {
            compare(on, child, find(on, inode, name), path + "/" + name);
        }
    }

    Model model_;
};

TEST_F(RandomModel, OneMountIsWhatTheModelIsThroughCommitsRemountsAndCrashes) {
    for (std::uint64_t seed = 0; seed < seeds(6); ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        draws_.seed(seed);
        model_ = Model{};
        LiveConfig small;
        small.max_clean_inodes = 5;
        auto on = mount(small);
        // A fresh directory for each seed: the volume stays.
        Model committed = model_;
        for (const auto& name : names(on, kRootInode)) remove_all(on, kRootInode, name);
        commit(on);
        for (int i = 0; i < 1'500 && !HasFatalFailure(); ++i) {
            step(on);
            const auto event = below(100);
            if (event < 6) {
                commit(on);
                committed = model_;
            } else if (event == 6) {  // a crash: what was not committed is gone
                on = mount(small);
                model_ = committed;
            } else if (event == 7) {
                compare(on, 0, kRootInode, "");
            }
        }
        commit(on);
        compare(on, 0, kRootInode, "");
        on = mount(small);
        compare(on, 0, kRootInode, "");
    }
}

// --- Several mounts

/// Changes of every kind by several mounts that do not wait for each other. Each file is only ever written whole, in
/// one letter, so that a mixture of two writers shows.
class RandomMounts : public Random {
  protected:
    std::pair<InodeNumber, std::string> somewhere(const Mount& on) {
        InodeNumber at = kRootInode;
        for (auto depth = below(4); depth > 0; --depth) {
            const auto listed = world_.run(on->list(at, 0, 100));
            if (!listed) break;
            std::vector<InodeNumber> choice;
            for (const auto& each : *listed) {
                if (each.entry.type == base::FileType::directory) choice.push_back(each.entry.inode);
            }
            if (choice.empty()) break;
            at = choice[below(choice.size())];
        }
        return {at, some_name()};
    }
    void step(const Mount& on) {
        const auto [directory, name] = somewhere(on);
        NewInode what;
        what.mode = 0644;
        const auto target = world_.run(on->lookup(directory, name));
        switch (below(7)) {
            case 0:
            case 1: {
                if (!target) {
                    if (below(3) == 0) what.type = base::FileType::directory;
                    (void)world_.run(on->create(directory, name, what));
                    break;
                }
                [[fallthrough]];
            }
            case 2:
            case 3: {
                if (!target || target->type == base::FileType::directory) break;
                const std::string text(1 + below(3'000), static_cast<char>('a' + below(26)));
                if (!world_.run(on->resize(target->inode, 0))) break;
                (void)world_.run(on->write(target->inode, 0, base::as_bytes(text)));
                break;
            }
            case 4: {
                if (!target) break;
                (void)(target->type == base::FileType::directory ? world_.run(on->remove_directory(directory, name))
                                                                 : world_.run(on->unlink(directory, name)));
                break;
            }
            case 5: {
                const auto [to, new_name] = somewhere(on);
                (void)world_.run(on->rename(directory, name, to, new_name));
                break;
            }
            default: {
                const auto [to, new_name] = somewhere(on);
                if (target) (void)world_.run(on->link(target->inode, to, new_name));
            }
        }
    }

    /// Every entry names an inode, links are entries, directories form one tree, nothing else is there but what a
    /// conflict keeps.
    void check_version() {
        auto volume = *open();
        Tree forest{volume->reader(), volume->state().forest};
        const auto record = LiveRecord::decode(std::get<Opaque>(run(forest.find(kLiveKey))->value));
        ASSERT_TRUE(record);
        Tree live{volume->reader(), record->root};
        std::map<InodeNumber, Inode> inodes;
        std::map<InodeNumber, std::uint64_t> links;
        std::map<InodeNumber, std::uint64_t> subdirectories;
        std::map<InodeNumber, InodeNumber> lies_in;
        std::set<InodeNumber> kept;
        std::map<InodeNumber, std::uint64_t> content_end;
        LiveCounts counts;
        for (const auto& item : run(live.range(TreeKey{}, TreeKey::first(UINT64_MAX)))) {
            if (item.key.kind == Kind::conflict) {
                kept.insert(Conflict::decode(std::get<Opaque>(item.value))->kept);
            } else if (item.key.kind == Kind::inode) {
                const auto& inode = std::get<Inode>(item.value);
                inodes.emplace(item.key.inode, inode);
                (inode.type == base::FileType::directory ? counts.directories : counts.files) += 1;
                if (inode.type == base::FileType::regular) counts.bytes += inode.size;
            } else if (item.key.kind == Kind::entry) {
                const auto& entry = std::get<Entry>(item.value);
                ++links[entry.inode];
                if (entry.type == base::FileType::directory) {
                    ++subdirectories[item.key.inode];
                    EXPECT_TRUE(lies_in.emplace(entry.inode, item.key.inode).second) << "two places";
                }
            } else if (item.key.kind == Kind::extent) {
                const auto& extent = std::get<Extent>(item.value);
                EXPECT_GE(item.key.sub, content_end[item.key.inode]) << "extents overlap";
                content_end[item.key.inode] = item.key.sub + extent.length;
            }
        }
        EXPECT_EQ(record->counts, counts);
        for (const auto& [number, count] : links) EXPECT_TRUE(inodes.contains(number)) << "names nothing: " << number;
        for (const auto& [number, end] : content_end) {
            ASSERT_TRUE(inodes.contains(number));
            EXPECT_LE(end, inodes[number].size);
        }
        for (const auto& [number, inode] : inodes) {
            if (inode.type == base::FileType::directory) {
                EXPECT_EQ(inode.nlink, 2 + subdirectories[number]) << number;
                if (number == kRootInode || kept.contains(number)) continue;
                ASSERT_EQ(links[number], 1U) << "directory " << number;
                EXPECT_EQ(inode.parent, lies_in[number]) << number;
                auto at = number;
                for (std::size_t steps = 0; at != kRootInode && !kept.contains(at); at = lies_in[at]) {
                    ASSERT_LE(++steps, inodes.size()) << "a loop at " << number;
                }
            } else {
                EXPECT_EQ(inode.nlink, links[number]) << number;
                EXPECT_TRUE(inode.nlink > 0 || kept.contains(number)) << "nobody names " << number;
            }
        }
    }
    void show(const Mount& on, InodeNumber directory, const std::string& path, std::string& out) {
        for (const auto& name : names(on, directory)) {
            const auto entry = run(on->lookup(directory, name));
            const auto inode = run(on->get(entry.inode));
            out += path + "/" + name + " " + std::to_string(entry.inode) + " " + std::to_string(inode.nlink);
            if (entry.type == base::FileType::directory) {
                out += "\n";
                show(on, entry.inode, path + "/" + name, out);
                continue;
            }
            const auto bytes = read(on, entry.inode);
            EXPECT_EQ(bytes.size(), inode.size);
            EXPECT_TRUE(bytes.find_first_not_of(bytes.substr(0, 1)) == std::string::npos) << "a mixture: " << bytes;
            out += " " + std::to_string(bytes.size()) + bytes.substr(0, 1) + "\n";
        }
    }
    std::string shown(const Mount& on) {
        std::string out;
        show(on, kRootInode, "", out);
        return out;
    }
    void run_seed(std::uint64_t seed, bool lossy) {
        draws_.seed(seed);
        std::vector<Mount> mounts;
        for (int i = 0; i < 3; ++i) mounts.push_back(mount());
        if (lossy) {
            storage_.lose_answer = [this](const base::Guid&) -> std::optional<base::Error> {
                if (below(4) != 0) return std::nullopt;
                return base::Error{past::Errc::holders_unreachable};
            };
            storage_.fail_put = [this](const auto&) -> std::optional<base::Error> {
                if (below(30) != 0) return std::nullopt;
                return base::Error{past::Errc::too_few_copies};
            };
        }
        for (int i = 0; i < 400 && !HasFatalFailure(); ++i) {
            const auto& on = mounts[below(mounts.size())];
            const auto event = below(20);
            if (event == 3) check_version();
            if (HasFailure()) return;
            if (event < 2) {
                while (!world_.run(on->commit())) {  // as the mount's own loop does
                }
            } else if (event == 2) {
                if (!world_.run(on->refresh())) {
                    while (!world_.run(on->commit())) {
                    }
                }
            } else {
                step(on);
            }
        }
        storage_.lose_answer = nullptr;
        storage_.fail_put = nullptr;
        for (int round = 0; round < 2; ++round) {
            for (const auto& on : mounts) commit(on);
        }
        for (const auto& on : mounts) refresh(on);
        check_version();
        const auto first = shown(mounts[0]);
        EXPECT_EQ(shown(mounts[1]), first);
        EXPECT_EQ(shown(mounts[2]), first);
        EXPECT_EQ(shown(mount()), first);
    }
};

TEST_F(RandomMounts, SeveralAgreeAndNothingBreaksTheTree) {
    for (std::uint64_t seed = 0; seed < seeds(12) && !HasFailure(); ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        run_seed(seed, false);
    }
}

TEST_F(RandomMounts, LostAnswersChangeNothing) {
    for (std::uint64_t seed = 1000; seed < 1000 + seeds(12) && !HasFailure(); ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        run_seed(seed, true);
    }
}

}  // namespace
}  // namespace objstore
