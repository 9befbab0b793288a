// What a Volume holds. Reading and publishing its record is in record.cpp, the list of its forest in list.cpp,
// committing in committing.cpp, and what callers see in volume.cpp.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/task_group.hpp"
#include "objstore/volume.hpp"
#include "volume/forest.hpp"

namespace objstore {

/// What the holders answered: the newest state, or that there is no such volume.
using Observed = std::optional<Heartbeat>;

struct NewForest {
    BlockRefPtr root;
    BlockRefPtr spare;
};

/// The write may or may not have happened: only reading again tells.
[[nodiscard]] bool unknown_outcome(const base::Error& error);
[[nodiscard]] Mark mark_of(const Heartbeat& heartbeat);
/// Writes what is left to write of the new list, and its second copy.
base::Task<base::Result<NewForest>> finish_forest(TreeUpdate& update);

/// What this client remembers of a volume. It outlives the volume for as long as something of it is being written.
struct Marks {
    HighWater& high_water;
    base::Log& log;
    base::Guid aguid;
    std::string volume;
    std::optional<Mark> next;  // the newest that is to be remembered
    bool raising = false;

    static base::Task<void> raise(std::shared_ptr<Marks> self, Mark mark) {
        auto raised = co_await self->high_water.raise(self->aguid, std::move(mark));
        if (!raised) {  // the state is durable; only this client's memory of it is not
            self->log.write(base::Log::Level::warning, "objstore",
                            "high-water mark of volume " + self->volume + ": " + raised.error().message());
        }
    }
    /// Of several states that follow each other quickly only the newest is remembered.
    static base::Task<void> raise_all(std::shared_ptr<Marks> self) {
        while (self->next) {
            auto mark = std::move(*self->next);
            self->next.reset();
            co_await raise(self, std::move(mark));
        }
        self->raising = false;
    }
};

struct Volume::State {
    State(base::NodeEnv doors, past::Storage& store, HighWater& marks, base::SigningKey key, std::string volume_name,
          VolumeConfig settings)
        : env{doors},
          storage{store},
          high_water{marks},
          owner{std::move(key)},
          name{std::move(volume_name)},
          config{settings},
          keys{VolumeKeys::of_owner(owner, name)},
          turn{env.executor, 1},
          reader{std::make_shared<BlockReader>(env, storage, keys.tag, config.reader)},
          remembered{std::make_shared<Marks>(high_water, env.log, keys.aguid, name)},
          writer_number{env.rng.below(UINT64_MAX) + 1},
          background{env.executor} {}

    [[nodiscard]] base::TimePoint deadline() const { return env.clock.now() + config.record_timeout; }
    [[nodiscard]] SealContext seal_context(std::uint64_t birth, std::uint64_t volume_bytes) const;
    /// What a state says beside its forest.
    struct Notice {
        std::optional<std::uint64_t> collecting;  ///< tags up to it go, and with them the way back to earlier states
        std::uint64_t turn = 0;
    };
    [[nodiscard]] Heartbeat next_heartbeat(const NewForest& forest, Notice notice) const;
    /// For blocks of this generation.
    [[nodiscard]] BlockWriter writer(std::uint64_t generation, std::uint64_t volume_bytes, past::Wait wait) const {
        const past::Tag tag{.volume = keys.tag, .generation = generation};
        return BlockWriter{env, storage, seal_context(generation, volume_bytes), tag, wait, config.writer};
    }
    /// What a record says, if its signature is good.
    [[nodiscard]] base::Result<Heartbeat> verified(const past::Record& record) const;
    /// Errc::stale if `shown` is older than what this client has seen, or another state of that number.
    [[nodiscard]] base::Result<void> compare(const Observed& shown, const Mark& mark) const;
    base::Result<void> adopt(const Heartbeat& heartbeat);

    static base::Task<base::Result<Observed>> ask_holders(State* self);
    static base::Task<bool> holds_a_root(State* self, HeartbeatBody body);
    static base::Task<base::Result<bool>> restore(State* self, Mark mark, std::string had);
    static base::Task<base::Result<bool>> read_newest(State* self);
    static base::Task<base::Result<bool>> read_any(State* self, base::Error why);
    static base::Task<base::Result<bool>> read_to_look(State* self);
    static base::Task<base::Result<void>> adopt(State* self, Heartbeat heartbeat, std::optional<Mark> mark);
    static base::Task<base::Result<Forest>> read_list(State* self);
    static base::Task<base::Result<bool>> list_is_held(State* self, past::Tag tag);
    static base::Task<base::Result<NewForest>> write_list(State* self, BlockWriter& writer, Forest list);
    static base::Task<base::Result<void>> publish(State* self, Heartbeat heartbeat);
    static base::Task<base::Result<void>> publish_unmarked(State* self, Heartbeat heartbeat);
    static base::Task<base::Result<void>> publish_notice(State* self, Notice notice);
    void raise_mark_later(Mark mark);
    static base::Task<base::Result<past::PutOutcome>> flush_all(State* self, BlockWriter* writer, ForestEditor* editor);
    static base::Task<base::Result<void>> create(State* self);
    static base::Task<base::Result<void>> mend_list(State* self, past::Wait wait);
    static base::Task<base::Result<ForestOutcome>> edit_once(State* self, ForestEditor* editor, ForestCheck check,
                                                             past::Wait wait, std::uint64_t* held);
    static base::Task<base::Result<ForestOutcome>> edit_forest(State* self, ForestEditor* editor, ForestCheck check,
                                                               past::Wait wait);
    static base::Task<void> back_off(State* self, unsigned attempt);
    static base::Task<base::Result<void>> ask_for_turn(State* self);
    static base::Task<base::Result<void>> leave_turn(State* self);

    base::NodeEnv env;
    past::Storage& storage;
    HighWater& high_water;
    base::SigningKey owner;
    std::string name;
    VolumeConfig config;
    VolumeKeys keys;
    base::Semaphore turn;  // of those that read or write the record
    std::shared_ptr<BlockReader> reader;
    std::optional<Unconfirmed> unconfirmed;
    VolumeState newest;  // sequence 0: nothing was read yet
    std::optional<ForestDamage> damage;
    std::vector<std::string> later_snapshots;
    std::shared_ptr<Marks> remembered;
    std::uint64_t writer_number;  // names this writer in HeartbeatBody::turn
    base::TaskGroup background;
};

}  // namespace objstore
