// Several mounts at once, each with its loop running, at random and with faults: every mount is a POSIX tree all the
// time, what a sync acknowledged is in the tree or among the conflicts, and once the
// faults are over all agree.
#include <gmock/gmock.h>

#include <cstdlib>
#include <map>
#include <random>
#include <set>

#include "base/error.hpp"
#include "base/task_group.hpp"
#include "base/wait.hpp"
#include "fuse/world.hpp"
#include "past/error.hpp"

namespace fusefs::test {
namespace {

using namespace std::chrono_literals;

constexpr auto kTimeout = 10s;

template <class T>
struct Outcome {
    explicit Outcome(base::Executor executor) : ended{std::move(executor)} {}
    base::Event ended;
    std::optional<base::Result<T>> result;
};

template <class T>
base::Task<void> keep(base::Task<base::Result<T>> task, std::shared_ptr<Outcome<T>> outcome) {
    outcome->result = co_await std::move(task);
    outcome->ended.set();
}

/// As the adapter does it: a call that is not answered in time is cancelled, and EIO.
template <class T>
base::Task<base::Result<T>> bounded(base::NodeEnv env, base::Task<base::Result<T>> task) {
    const auto outcome = std::make_shared<Outcome<T>>(env.executor);
    base::TaskGroup group{env.executor};
    group.spawn(keep(std::move(task), outcome));
    const auto until = env.clock.now() + kTimeout + 1s;
    const std::shared_ptr<base::Event> ended{outcome, &outcome->ended};
    while (!outcome->result && env.clock.now() < until) co_await base::wait_until(env.clock, ended, until);
    if (!outcome->result) group.cancel();
    co_await group.join();
    if (!outcome->result) co_return base::Error{std::make_error_code(std::errc::io_error)};
    co_return std::move(*outcome->result);
}

/// Every file is written whole, in one letter: a mixture of two writes shows. Its first write names it for good.
class RandomFileSystems : public FileSystemTest {
  protected:
    struct Machine {
        Mounted mount;
        std::unique_ptr<base::TaskGroup> running;
        std::map<NodeId, std::uint64_t> held;  // what the kernel remembers
        std::map<HandleId, NodeId> open;
        std::set<std::string> unsynced;  // contents that were written and not yet acknowledged
    };

    std::uint64_t below(std::uint64_t bound) { return draws_() % bound; }
    bool one_in(std::uint64_t count) { return below(count) == 0; }
    std::string some_name() { return "n" + std::to_string(below(30)); }

    void start(Machine& machine) {
        FileSystemConfig config;
        config.timeout = kTimeout;
        config.coherence = one_in(3) ? Coherence::strict : Coherence::close;
        machine = Machine{};
        machine.mount = mount(config);
        machine.mount.volume->reader().set_patience(kTimeout);
        machine.running = std::make_unique<base::TaskGroup>(env_.executor);
        machine.running->spawn(machine.mount.tree->run());
    }
    /// As kill -9 does: what was not acknowledged may be gone.
    void kill(Machine& machine) {
        machine.running->cancel();
        run(machine.running->join());
        machine.mount.files.reset();
        machine.mount.tree.reset();
        world_.run_for(1ms);  // what was under way hears of it
        run(machine.mount.volume->finish());
        machine.mount.volume.reset();
    }

    /// 0 if it went well. No call may take longer than it is allowed to.
    template <class T>
    base::Result<T> call(base::Task<base::Result<T>> task) {
        auto done = run(bounded(env_, std::move(task)));
        if (!done) {
            const auto number = error_number(done.error());
            const bool may_be = number == ENOENT || number == EEXIST || number == ENOTDIR || number == EISDIR ||
                                number == ENOTEMPTY || number == EINVAL || number == EIO || number == EPERM ||
                                number == ESTALE || number == ENOSPC;
            EXPECT_TRUE(may_be) << done.error().message();
            EXPECT_TRUE(faulty_ || number != EIO) << done.error().message();
        }
        return done;
    }

    NodeId look_up(Machine& machine, NodeId directory, const std::string& name) {
        const auto found = call(machine.mount->lookup(directory, name));
        if (!found || found->node == 0) return 0;
        ++machine.held[found->node];
        return found->node;
    }
    NodeId some_directory(Machine& machine) {
        NodeId at = kRootNode;
        for (auto depth = below(3); depth > 0; --depth) {
            const auto listed = call(machine.mount->list(at, 0, 100, false));
            if (!listed) break;
            std::vector<std::string> choice;
            for (const auto& each : *listed) {
                if (!each.is_dot() && each.type == base::FileType::directory) choice.push_back(each.name);
            }
            if (choice.empty()) break;
            const auto next = look_up(machine, at, choice[below(choice.size())]);
            if (next == 0) break;
            at = next;
        }
        return at;
    }

    void write_file(Machine& machine) {
        const auto directory = some_directory(machine);
        const auto content = std::string(1 + below(9'000), static_cast<char>('a' + below(26)));
        const auto id = std::to_string(++contents_) + ":";
        const auto name = some_name();
        OpenFlags flags;
        flags.write = true;
        flags.exclusive = true;
        const auto made = call(machine.mount->create({}, directory, name, 0644, flags));
        if (!made) return;
        ++machine.held[made->entry.node];
        const auto node = made->entry.node;
        const auto handle = made->open.handle;
        std::string text = id + content;
        WriteRequest request;
        request.node = node;
        request.handle = handle;
        if (call(machine.mount->write(request, base::as_bytes(text)))) machine.unsynced.insert(text);
        if (one_in(3) && call(machine.mount->sync(node, handle))) acknowledge(machine);
        if (one_in(4)) {
            machine.open[handle] = node;
        } else {
            (void)call(machine.mount->flush(node, handle, 1));
            machine.mount->release(node, handle, std::nullopt);
        }
    }
    /// A sync stores everything that its mount has written.
    void acknowledge(Machine& machine) {
        acknowledged_.merge(machine.unsynced);
        machine.unsynced.clear();
    }
    /// Whatever comes of it, what the name meant may be gone.
    void remove_file(Machine& machine, NodeId directory, const std::string& name) {
        const auto node = look_up(machine, directory, name);
        if (node == 0) return;
        const auto pieces = call(machine.mount->read(node, 0, 0, 1U << 20U));
        if (!pieces) return;
        removed_.insert(text_of(*pieces));
        (void)call(machine.mount->unlink(directory, name));
    }
    static std::string text_of(const std::vector<objstore::ReadPiece>& pieces) {
        std::string text;
        for (const auto& piece : pieces) {
            text += piece.bytes.empty() ? std::string(piece.length, '\0') : std::string{base::as_text(piece.bytes)};
        }
        return text;
    }
    void change_names(Machine& machine) {
        const auto directory = some_directory(machine);
        const auto name = some_name();
        const auto other = some_directory(machine);
        switch (below(5)) {
            case 4: return remove_file(machine, directory, name);
            case 0: {
                const auto made =
                    call(machine.mount->make_node({}, directory, name, base::FileType::directory, 0755, 0));
                if (made) ++machine.held[made->node];
                break;
            }
            case 1: {
                const auto flag = one_in(4) ? RenameFlag::exchange : RenameFlag::no_replace;
                (void)call(machine.mount->rename(directory, name, other, some_name(), flag));
                break;
            }
            case 2: {
                const auto node = look_up(machine, directory, name);
                if (node == 0) break;
                const auto made = call(machine.mount->link(node, other, some_name()));
                if (made) ++machine.held[made->node];
                break;
            }
            default: (void)call(machine.mount->remove_directory(directory, name));
        }
    }
    void forget_some(Machine& machine) {
        for (auto at = machine.open.begin(); at != machine.open.end();) {
            const auto [handle, node] = *at;
            at = machine.open.erase(at);
            machine.mount->release(node, handle, std::nullopt);
        }
        for (auto at = machine.held.begin(); at != machine.held.end();) {
            const auto [node, times] = *at;
            at = one_in(2) ? machine.held.erase(at) : std::next(at);
            if (!machine.held.contains(node)) machine.mount->forget(node, times);
        }
    }
    void step(Machine& machine) {
        switch (below(8)) {
            case 0:
            case 1:
            case 2: return write_file(machine);
            case 3:
            case 4: return change_names(machine);
            case 5: return forget_some(machine);
            case 6: {
                if (call(machine.mount->sync_directory(kRootNode))) acknowledge(machine);
                return;
            }
            default: {
                std::string seen;
                (void)contents(machine, kRootNode, seen, 0);
            }
        }
    }

    void set_fault() {
        switch (below(5)) {
            case 0: storage_.holders_up = 0; break;
            case 1:
                storage_.lose_answer = [this](const base::Guid&) -> std::optional<base::Error> {
                    if (!one_in(3)) return std::nullopt;
                    return base::Error{past::Errc::holders_unreachable};
                };
                break;
            case 2:
                storage_.fail_put = [this](const auto&) -> std::optional<base::Error> {
                    if (!one_in(3)) return std::nullopt;
                    return base::Error{one_in(2) ? past::Errc::too_few_copies : past::Errc::below_min_copies};
                };
                break;
            case 3:
                storage_.fail_get = [this](const base::Guid&) -> std::optional<base::Error> {
                    if (!one_in(3)) return std::nullopt;
                    return base::Error{past::Errc::holders_unreachable};
                };
                break;
            default:
                storage_.hold_put = [this]() -> base::Task<void> {
                    co_await env_.clock.sleep_for(std::chrono::milliseconds{below(7'000)});
                };
        }
        faulty_ = true;
    }
    void heal() {
        storage_.holders_up = storage_.holders;
        storage_.lose_answer = nullptr;
        storage_.fail_put = nullptr;
        storage_.fail_get = nullptr;
        storage_.hold_put = nullptr;
        faulty_ = false;
    }

    /// The tree below a directory, as this mount shows it; every file is whole.
    std::set<std::string> contents(Machine& machine, NodeId directory, std::string& shown, unsigned depth) {
        std::set<std::string> out;
        EXPECT_LT(depth, 20U) << "a loop";
        const auto listed = call(machine.mount->list(directory, 0, 1000, true));
        if (!listed || depth >= 20) return out;
        std::map<std::string, DirectoryEntry> sorted;
        for (const auto& entry : *listed) {
            if (entry.is_dot()) continue;
            EXPECT_TRUE(sorted.emplace(entry.name, entry).second) << "listed twice: " << entry.name;
        }
        std::uint64_t directories = 0;
        for (const auto& [name, entry] : sorted) {
            shown += "/" + name + " ";
            const auto node = look_up(machine, directory, name);
            if (node == 0) {
                EXPECT_TRUE(faulty_ || changing_) << "listed, and not there: " << name;
                continue;
            }
            if (entry.type == base::FileType::directory) {
                ++directories;
                out.merge(contents(machine, node, shown, depth + 1));
                continue;
            }
            const auto pieces = call(machine.mount->read(node, 0, 0, 1U << 20U));
            if (!pieces) continue;
            const auto text = text_of(*pieces);
            const auto body = text.find(':');
            const bool whole = text.empty() || (body != std::string::npos && body + 1 < text.size() &&
                                                text.find_first_not_of(text[body + 1], body + 1) == std::string::npos);
            EXPECT_TRUE(whole) << "wrong bytes in " << name;
            if (!text.empty()) out.insert(text);
            shown += text.substr(0, body) + " " + std::to_string(text.size()) + "\n";
        }
        const auto attributes = call(machine.mount->attributes(directory));
        const bool settled = attributes && !faulty_ && !changing_;
        EXPECT_TRUE(!settled || attributes->inode.nlink == 2 + directories);
        return out;
    }

    void run_seed(std::uint64_t seed) {
        draws_.seed(seed);
        acknowledged_.clear();
        removed_.clear();
        std::vector<Machine> machines(2 + below(2));
        for (auto& machine : machines) start(machine);
        changing_ = true;
        for (int i = 0; i < 250 && !HasFailure(); ++i) {
            auto& machine = machines[below(machines.size())];
            const auto event = below(40);
            if (event == 0) {
                set_fault();
            } else if (event <= 3) {
                heal();
            } else if (event == 4) {
                heal();
                kill(machine);
                start(machine);
            } else if (event < 10) {
                world_.run_for(std::chrono::milliseconds{below(3'000)});
            } else {
                step(machine);
            }
        }
        heal();
        world_.run_for(40s);
        for (auto& machine : machines) {
            EXPECT_TRUE(call(machine.mount->commit()));
            acknowledge(machine);
        }
        world_.run_for(5s);
        changing_ = false;
        std::string first;
        (void)contents(machines[0], kRootNode, first, 0);
        for (auto& machine : machines) {
            std::string shown;
            (void)contents(machine, kRootNode, shown, 0);
            EXPECT_EQ(shown, first);
        }
        // What was acknowledged, and nobody removed, has a name, or is kept by a conflict.
        auto& tree = *machines[0].mount.tree;
        const auto conflicts = *run(tree.conflicts());
        for (const auto& listed : conflicts) {
            const auto name = "kept" + std::to_string(listed.conflict.kept);
            if (listed.conflict.kept != 0) (void)run(tree.restore_kept(listed, objstore::kRootInode, name));
        }
        const auto kept = contents(machines[0], kRootNode, first, 0);
        for (const auto& text : acknowledged_) {
            EXPECT_TRUE(kept.contains(text) || removed_.contains(text))
                << "acknowledged and lost: " << text.substr(0, text.find(':'));
        }
        for (auto& machine : machines) kill(machine);
    }

    std::mt19937_64 draws_{1};
    std::set<std::string> acknowledged_;
    std::set<std::string> removed_;  // contents of files that somebody took a name from
    std::uint64_t contents_ = 0;
    bool faulty_ = false;
    bool changing_ = false;
};

TEST_F(RandomFileSystems, SeveralWithFaultsLoseNothingThatWasAcknowledged) {
    const char* const set = std::getenv("PELAGO_SEEDS");  // for a long run
    const std::uint64_t seeds = set == nullptr ? 4 : std::strtoull(set, nullptr, 10);
    for (std::uint64_t seed = 0; seed < seeds && !HasFailure(); ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        run_seed(seed);
        EXPECT_GT(acknowledged_.size(), 5U);
    }
}

}  // namespace
}  // namespace fusefs::test
