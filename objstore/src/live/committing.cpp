// From memory to the volume: what changed is frozen as one update, its content stored, and the update ordered.
#include <algorithm>
#include <boost/system/system_error.hpp>
#include <exception>
#include <utility>

#include "base/error.hpp"
#include "base/wait.hpp"
#include "live/working_state.hpp"
#include "objstore/error.hpp"
#include "past/error.hpp"

namespace objstore {
namespace {

constexpr std::size_t kOwnBlockBytes = 256U << 10U;  // from here on a stretch has a block of its own
constexpr int kLiveZstdLevel = 1;                    // an archive's level costs a writer more than the disk does

/// Contiguous bytes of one file on their way into a block.
struct Run {
    InodeNumber inode = 0;
    std::uint64_t offset = 0;
    std::size_t bytes = 0;
    std::vector<ContentPiece> pieces;
};

/// The content of one block: runs one after another.
struct Draft {
    BlockType type = BlockType::pack;
    std::size_t bytes = 0;
    std::vector<Run> runs;
};

std::vector<Run> runs_of(const std::vector<WorkingTree::State::MemoryPiece>& pieces) {
    std::vector<Run> runs;
    for (const auto& [inode, offset, piece] : pieces) {
        std::uint64_t done = 0;
        while (done < piece.length) {
            const bool goes_on = !runs.empty() && runs.back().inode == inode &&
                                 runs.back().offset + runs.back().bytes == offset + done &&
                                 runs.back().bytes < kPackBytes;
            if (!goes_on) runs.push_back(Run{inode, offset + done, 0, {}});
            auto& run = runs.back();
            const auto length = std::min<std::uint64_t>(piece.length - done, kPackBytes - run.bytes);
            run.pieces.push_back(part_of(piece, done, length));
            run.bytes += length;
            done += length;
        }
    }
    return runs;
}

std::vector<Draft> drafts_of(std::vector<Run> runs) {
    std::vector<Draft> drafts;
    std::optional<std::size_t> pack;  // being filled
    for (auto& run : runs) {
        if (run.bytes >= kOwnBlockBytes) {
            Draft own;
            own.type = BlockType::data;
            own.bytes = run.bytes;
            own.runs.push_back(std::move(run));
            drafts.push_back(std::move(own));
            continue;
        }
        if (!pack || drafts[*pack].bytes + run.bytes > kPackBytes) {
            pack = drafts.size();
            drafts.emplace_back();
        }
        drafts[*pack].bytes += run.bytes;
        drafts[*pack].runs.push_back(std::move(run));
    }
    return drafts;
}

base::Result<SealedBlock> seal(const SealContext& context, const Draft& draft) {
    base::Bytes content;
    content.reserve(draft.bytes);
    for (const auto& run : draft.runs) {
        for (const auto& piece : run.pieces) {
            const auto bytes = piece.bytes();
            content.insert(content.end(), bytes.begin(), bytes.end());
        }
    }
    BlockContent packed;
    packed.packed = content;
    return seal_block(context, draft.type, {}, packed);
}

}  // namespace

/// Shared by those that seal it, which may end after a caller that was cancelled.
struct WorkingTree::State::Work {
    std::shared_ptr<State> tree;
    std::vector<Draft> drafts;
    std::vector<base::Result<BlockRefPtr>> blocks;  // one each
    std::shared_ptr<BlockWriter> writer;
};

namespace {

using Work = WorkingTree::State::Work;

/// Seals one block on the pool and hands it to the writer.
base::Task<void> seal_and_put(base::NodeEnv env, std::shared_ptr<Work> work, std::size_t index,
                              base::Semaphore::Permit /*permit*/) {
    SealContext context = work->writer->context();
    context.zstd_level = kLiveZstdLevel;
    auto job = [context, work, index] { return seal(context, work->drafts[index]); };
    auto sealed = co_await env.workers.run(std::move(job));
    if (!sealed) {
        work->blocks[index] = sealed.error();
        co_return;
    }
    auto ref = std::make_shared<const BlockRef>(sealed->ref);
    const auto put = co_await work->writer->put(std::move(*sealed));
    if (put) {
        work->tree->counted.bytes_put += work->drafts[index].bytes;
        work->blocks[index] = std::move(ref);
    } else {
        work->blocks[index] = put.error();
    }
}

}  // namespace

void WorkingTree::State::freeze_node(LiveNode& node, Frozen& frozen) {
    if (node.gone && !node.base) return;
    InodeUpdate change;
    change.before = node.base;
    change.known_as = node.known_as;
    if (!node.gone) {
        change.after = node.now;
        change.symlink = node.symlink;
        for (const auto& [key, name] : node.names) {
            change.names.emplace(key.second, NameChange{name.before, name.after, name.exclusive});
        }
        for (const auto& [name, xattr] : node.xattrs) change.xattrs.emplace(name, xattr.value);
        const bool resized = node.base && node.base->size != node.now.size;
        if (node.regular() && (!node.content.empty() || resized)) {
            change.data.emplace();
            change.data->dropped = node.content.dropped();
            for (const auto& [offset, piece] : node.content.pieces()) {
                if (piece.in_memory()) {
                    frozen.pieces.push_back({node.number, offset, piece});
                } else if (piece.stored) {
                    change.data->extents.emplace(offset, *piece.stored);
                    frozen.update->stored_since = std::min(frozen.update->stored_since, piece.since);
                }
            }
            node.content.freeze();
        }
    } else {
        // What its directory entries were goes with it: rebase() wants to know which of them we removed.
        for (const auto& [key, name] : node.names) {
            change.names.emplace(key.second, NameChange{name.before, std::nullopt, false});
        }
    }
    frozen.update->inodes.emplace(node.number, std::move(change));
}

WorkingTree::State::Frozen WorkingTree::State::freeze() {
    Frozen frozen;
    frozen.update = std::make_shared<Update>();
    frozen.update->id = (std::uint64_t{numbers.slot()} << InodeNumbers::kCounterBits) | ++updates;
    frozen.update->base = version.root;
    frozen.update->base_named_in = version.named_in;
    frozen.generation = generation++;
    freezing = frozen.generation;
    oldest_change.reset();
    frozen.update->resolved = std::exchange(resolved, {});
    for (const auto number : dirty) freeze_node(*inodes.at(number), frozen);
    return frozen;
}

// Seals the content of pieces and hands it to a writer, which the caller flushes.
base::Task<base::Result<std::shared_ptr<Work>>> WorkingTree::State::seal_content(State* self,
                                                                                 std::vector<MemoryPiece> pieces) {
    const auto work = std::make_shared<Work>();
    work->tree = self->shared_from_this();
    work->drafts = drafts_of(runs_of(pieces));
    work->writer = self->volume.make_writer(self->version.counts.bytes);
    work->blocks.resize(work->drafts.size(), base::Result<BlockRefPtr>{nullptr});
    base::Semaphore sealing{self->env.executor, self->env.workers.parallelism() + 2};
    base::TaskGroup group{self->env.executor};
    for (std::size_t i = 0; i < work->drafts.size(); ++i) {
        auto permit = co_await sealing.acquire();
        group.spawn(seal_and_put(self->env, work, i, std::move(permit)));
    }
    co_await group.join();
    for (const auto& block : work->blocks) {
        if (!block) co_return block.error();
    }
    co_return work;
}

/// Where each run lies.
void WorkingTree::State::tell(const Work& work, Update& update) {
    for (std::size_t i = 0; i < work.drafts.size(); ++i) {
        std::uint32_t at = 0;
        for (const auto& run : work.drafts[i].runs) {
            Extent extent;
            extent.block = *work.blocks[i];
            extent.offset = at;
            extent.length = run.bytes;
            at += static_cast<std::uint32_t>(run.bytes);
            update.inodes.at(run.inode).data->extents.insert_or_assign(run.offset, std::move(extent));
        }
    }
}

/// What is acknowledged needs no memory any more.
void WorkingTree::State::release(const Work& work) {
    for (std::size_t i = 0; i < work.drafts.size(); ++i) {
        Extent extent;
        extent.block = *work.blocks[i];
        for (const auto& run : work.drafts[i].runs) {
            auto* const node = peek(run.inode);
            auto offset = run.offset;
            for (const auto& piece : run.pieces) {
                extent.length = piece.length;
                if (node != nullptr) node->content.stored(offset, piece, extent, work.writer->tag().generation);
                extent.offset += static_cast<std::uint32_t>(piece.length);
                offset += piece.length;
            }
            if (node != nullptr) recount(*node);
        }
    }
    wanted->pulse();
}

base::Task<base::Result<void>> WorkingTree::State::commit(State* self) {
    if (self->order == nullptr) co_return base::ok();
    const auto want = self->generation;
    while (self->durable < want) {
        const bool nothing = self->dirty.empty() && self->resolved.empty() && !self->unadopted && !self->unsettled;
        if (!self->committing && nothing) {
            self->oldest_change.reset();  // or whoever waits for it to grow old would not wait any more
            break;
        }
        if (!self->committing) {
            self->attempt = std::make_shared<Attempt>();
            self->committing = true;
            self->background.spawn(commit_once(self->shared_from_this(), self->attempt));
        }
        const auto waited = self->attempt;
        while (!waited->result && self->committing) co_await self->progress->wait();
        if (!waited->result) co_return base::Error{base::Errc::stopped};
        if (!*waited->result) co_return waited->result->error();
    }
    co_return base::ok();
}

namespace {

/// Big files go on being stored beside a commit. Each failure makes the next attempt wait longer: all that is uploaded
/// in vain is uploaded again.
base::Task<void> stream_beside(std::shared_ptr<WorkingTree::State> self,
                               std::shared_ptr<WorkingTree::State::Attempt> attempt) {
    constexpr std::chrono::milliseconds kLook{50};
    constexpr std::chrono::milliseconds kLongest{64'000};
    auto pause = kLook;
    while (!attempt->result) {
        co_await self->env.clock.sleep_for(pause);
        if (!self->committing) continue;
        const auto done = co_await WorkingTree::State::stream(self.get());
        pause = done ? kLook : std::min(std::max(2 * pause, std::chrono::milliseconds{1000}), kLongest);
        if (done) continue;
        self->last_error = done.error();  // of use to a writer that waits for room
        self->progress->pulse();
    }
}

}  // namespace

base::Task<void> WorkingTree::State::commit_once(std::shared_ptr<State> self, std::shared_ptr<Attempt> attempt) {
    const Busy busy{self->committing, self->progress};
    self->background.spawn(stream_beside(self, attempt));
    self->counted.bytes_put = 0;
    base::Result<void> done = base::ok();
    try {
        done = co_await submit(self.get());
    } catch (const boost::system::system_error&) {
        throw;  // cancelled
    } catch (const std::exception& bug) {
        // Everything is still in memory, and the next attempt begins from there: nobody waits for this one for ever.
        self->freezing = 0;
        if (!self->unsettled && !self->unadopted) self->open_gate();
        done = base::Error{base::Errc::io_failed, bug.what()};
    }
    attempt->result = std::move(done);
    if (*attempt->result) {
        self->last_error.reset();
        if (self->dirty.empty()) self->oldest_change.reset();
    } else {
        self->last_error = attempt->result->error();
        if (!self->oldest_change) self->oldest_change = self->env.clock.now();  // again in a while
    }
    self->wanted->pulse();
}

base::Task<base::Result<void>> WorkingTree::State::submit(State* self) {
    if (self->unadopted) {
        auto [frozen, ordered] = std::move(*self->unadopted);
        self->unadopted.reset();
        co_return co_await adopt_rebased(self, std::move(frozen), std::move(ordered));
    }
    // Room for the losing sides of conflicts, before anything is frozen.
    BASE_CO_CHECK(co_await have_numbers(self, self->dirty.size() + 1));
    while (self->streaming) co_await self->progress->wait();  // or it were stored twice
    const bool again = self->unsettled.has_value();
    Frozen frozen = again ? std::move(*self->unsettled) : self->freeze();
    self->unsettled.reset();
    self->freezing = frozen.generation;
    if (frozen.update->inodes.empty() && frozen.update->resolved.empty()) {  // what was changed is gone by now
        self->freezing = 0;
        self->adopt_own(frozen, self->version);
        co_return base::ok();
    }
    co_return co_await order_frozen(self, std::move(frozen), again);
}

// Another mount's commit came first. Nothing changes here until ours stands on it.
base::Task<base::Result<void>> WorkingTree::State::commit_rebased(State* self) {
    self->gate_open = false;
    const auto numbered = co_await have_numbers(self, self->dirty.size() + 1);
    if (!numbered) {
        self->open_gate();
        co_return numbered.error();
    }
    Frozen frozen = self->freeze();
    frozen.rebases = true;
    co_return co_await order_frozen(self, std::move(frozen), false);
}

// `again`: its content is stored, and it may be ordered already.
base::Task<base::Result<void>> WorkingTree::State::order_frozen(State* self, Frozen frozen, bool again) {
    std::shared_ptr<BlockWriter> content;
    if (!again) {
        const auto sealed = co_await seal_content(self, std::exchange(frozen.pieces, {}));
        if (!sealed) {
            self->give_up(frozen);
            co_return sealed.error();
        }
        tell(**sealed, *frozen.update);
        content = (*sealed)->writer;
        frozen.update->stored_since = std::min(frozen.update->stored_since, content->tag().generation);
    }
    std::shared_ptr<const Update> update = frozen.update;
    auto ordered = co_await self->order->submit(std::move(update), std::move(content), frozen.rebases, self->numbers);
    self->freezing = 0;
    if (ordered && frozen.rebases) co_return co_await adopt_rebased(self, std::move(frozen), std::move(*ordered));
    if (ordered) {
        self->adopt_own(frozen, ordered->version);
        ++self->counted.commits;
        co_return base::ok();
    }
    if (self->order->in_doubt()) {
        self->unsettled = std::move(frozen);  // of one that rebases the gate stays closed until it is known
        co_return ordered.error();
    }
    self->give_up(frozen);
    if (!frozen.rebases && ordered.error() == Errc::conflict) co_return co_await commit_rebased(self);
    co_return ordered.error();
}

// What was not ordered is still in memory; only what is in no inode has to be remembered here.
void WorkingTree::State::give_up(const Frozen& frozen) {
    freezing = 0;
    resolved.insert(resolved.end(), frozen.update->resolved.begin(), frozen.update->resolved.end());
    if (frozen.rebases) open_gate();
}

namespace {

/// Content of big files, and of nameless ones where those fill the memory, that no commit under way has: about four
/// times LiveConfig::stream_bytes of it at most.
std::vector<WorkingTree::State::MemoryPiece> pieces_to_stream(WorkingTree::State& tree) {
    std::vector<InodeNumber> chosen;
    for (const auto number : tree.dirty) {
        const auto& node = *tree.inodes.at(number);
        if (!node.gone && node.content.buffer_bytes() >= tree.config.stream_bytes) chosen.push_back(number);
    }
    if (tree.nameless_can_be_stored()) {
        // No commit makes room of files that nobody names and somebody has open.
        for (const auto& [number, node] : tree.inodes) {
            if (node->gone && node->content.buffer_bytes() > 0) chosen.push_back(number);
        }
        std::sort(chosen.begin(), chosen.end());
    }
    std::vector<WorkingTree::State::MemoryPiece> pieces;
    std::size_t bytes = 0;
    for (const auto number : chosen) {
        auto& node = *tree.inodes.at(number);
        for (const auto& [offset, piece] : node.content.pieces()) {
            if (!piece.in_memory() || piece.generation <= tree.freezing) continue;
            pieces.push_back({number, offset, piece});
            bytes += piece.length;
            if (bytes >= 4 * tree.config.stream_bytes) break;
        }
        node.content.freeze();
        if (bytes >= 4 * tree.config.stream_bytes) break;
    }
    return pieces;
}

}  // namespace

// What big files hold in memory goes ahead of their commit; also beside one, so that the next finds little to carry:
// who waits for it is not to wait for somebody else's big file.
base::Task<base::Result<void>> WorkingTree::State::stream(State* self) {
    if (self->streaming) co_return base::ok();
    const Busy busy{self->streaming, self->progress};
    const auto commit_waits = [self] { return self->committing && self->freezing == 0; };
    constexpr unsigned kPasses = 8;  // others have a turn, a commit of what is old among them
    for (unsigned pass = 0; pass < kPasses && !commit_waits(); ++pass) {
        auto pieces = pieces_to_stream(*self);
        if (pieces.empty()) co_return base::ok();
        BASE_CO_TRY(const auto work, co_await seal_content(self, std::move(pieces)));
        BASE_CO_CHECK(co_await work->writer->flush());
        self->release(*work);
        self->last_error.reset();
    }
    co_return base::ok();
}

/// Commits what is due, or lets big files go ahead. What changes during a commit is looked at when that has ended.
base::Task<base::Result<void>> WorkingTree::State::flush(State* self) {
    const bool old = self->oldest_change && self->env.clock.now() >= *self->oldest_change + self->config.flush_after;
    if (old || self->unsettled || self->unadopted) co_return co_await commit(self);
    const bool was_full = self->half_full();
    BASE_CO_CHECK(co_await stream(self));
    if (was_full && self->half_full()) co_return co_await commit(self);  // much that is small
    co_return base::ok();
}

base::Task<void> WorkingTree::State::flush_on(State* self) {
    constexpr std::chrono::seconds kLook{1};
    constexpr std::chrono::milliseconds kPause{1};  // whatever there is to do, others have a turn
    auto& clock = self->env.clock;
    for (;;) {
        if (!self->committing) {
            const auto done = co_await flush(self);
            if (!done) {
                self->last_error = done.error();
                self->progress->pulse();
                self->env.log.write(
                    base::Log::Level::warning, "objstore",
                    "volume '" + self->volume.name() + "' could not be written: " + done.error().message());
                co_await clock.sleep_for(kLook);
            }
        }
        self->trim(self->inodes.size());
        const auto now = clock.now();
        auto until = now + kLook;
        if (!self->committing) {
            if (self->oldest_change) until = std::min(until, *self->oldest_change + self->config.flush_after);
            if (self->half_full() || self->nameless_can_be_stored()) until = now;
        }
        co_await base::wait_until(clock, self->wanted, std::max(until, now + kPause));
    }
}

base::Task<void> WorkingTree::State::refresh_on(State* self) {
    std::string told;  // damage, once
    for (;;) {
        co_await self->env.clock.sleep_for(self->config.refresh_every);
        auto done = co_await refresh(self);  // unreachable: it is asked again
        if (done) done = co_await keep_what_is_held(self);
        if (done) told.clear();
        if (done || done.error() == past::Errc::holders_unreachable) continue;
        auto text =
            "volume '" + self->volume.name() + "': changes of other mounts are not seen: " + done.error().message();
        const bool is_news = is_isolated_damage(done.error().code()) && text != told;
        self->env.log.write(is_news ? base::Log::Level::warning : base::Log::Level::debug, "objstore", text);
        if (is_news) told = std::move(text);
    }
}

base::Task<void> WorkingTree::abandon() {
    const auto state = state_;
    state->background.cancel();
    co_await state->background.join();
}

base::Task<void> WorkingTree::run() {
    if (state_->order == nullptr) co_return;
    base::TaskGroup group{state_->env.executor};
    group.spawn(State::flush_on(state_.get()));
    group.spawn(State::refresh_on(state_.get()));
    co_await group.join();
}

}  // namespace objstore
