// One edit of the forest becomes the next state, among others who do the same.
#include <algorithm>
#include <utility>

#include "base/error.hpp"
#include "objstore/error.hpp"
#include "past/error.hpp"
#include "volume/forest_edit.hpp"
#include "volume/volume_state.hpp"

namespace objstore {
namespace {

constexpr unsigned kLossesBeforeTurn = 2;  // of one edit

/// Puts and erases in the order of their keys.
base::Task<base::Result<void>> apply_edit(TreeUpdate& update, ForestEdit edit) {
    auto erase = edit.erase.begin();
    for (auto& item : edit.put) {
        for (; erase != edit.erase.end() && *erase < item.key; ++erase) BASE_CO_CHECK(co_await update.erase(*erase));
        BASE_CO_CHECK(co_await update.put(std::move(item)));
    }
    for (; erase != edit.erase.end(); ++erase) BASE_CO_CHECK(co_await update.erase(*erase));
    co_return base::ok();
}

}  // namespace

// Side by side: a store syncs once for what comes together.
base::Task<base::Result<past::PutOutcome>> Volume::State::flush_all(State* self, BlockWriter* writer,
                                                                    ForestEditor* editor) {
    const auto others = std::make_shared<base::Result<void>>(base::ok());
    constexpr auto wait = [](ForestEditor* waited, std::shared_ptr<base::Result<void>> out) -> base::Task<void> {
        *out = co_await waited->stored();
    };
    base::TaskGroup group{self->env.executor};
    group.spawn(wait(editor, others));
    auto flushed = co_await writer->flush();
    co_await group.join();
    if (!*others) co_return others->error();
    co_return flushed;
}

base::Task<base::Result<ForestOutcome>> Volume::State::edit_once(State* self, ForestEditor* editor, ForestCheck check,
                                                                 past::Wait wait, std::uint64_t* held) {
    const past::Tag tag{.volume = self->keys.tag, .generation = self->newest.sequence + 1};
    const bool wait_for_mark = check == ForestCheck::whole;
    if (check == ForestCheck::whole) {
        BASE_CO_TRY(const auto list, co_await read_list(self));
        bool sound = !list.damage;
        if (sound) {
            BASE_CO_TRY(sound, co_await list_is_held(self, tag));
        }
        if (!sound) {
            BASE_CO_CHECK(co_await mend_list(self, wait));
            check = ForestCheck::paths;
        }
    }
    BlockWriter writer = self->writer(self->newest.sequence + 1, 0, wait);
    Tree forest{*self->reader, self->newest.forest};
    BASE_CO_TRY(auto edit, co_await editor->edit(forest, writer));
    ForestOutcome out;
    if (edit && std::max(editor->stored_since(), *held) <= self->newest.collected) {
        BASE_CO_CHECK(co_await flush_all(self, &writer, editor));
        BASE_CO_CHECK(co_await hold_on_to(self->env, self->storage, tag, forest, *edit));
        *held = tag.generation;
    }
    if (edit) {
        TreeUpdate update{writer, forest};
        BASE_CO_CHECK(co_await apply_edit(update, std::move(*edit)));
        BASE_CO_TRY(const auto root, co_await finish_forest(update));
        BASE_CO_TRY(out.copies, co_await flush_all(self, &writer, editor));
        auto heartbeat = self->next_heartbeat(root, {});
        auto mark = mark_of(heartbeat);
        if (wait_for_mark) {
            BASE_CO_CHECK(co_await publish(self, std::move(heartbeat)));
        } else {
            BASE_CO_CHECK(co_await publish_unmarked(self, std::move(heartbeat)));
            self->raise_mark_later(std::move(mark));
        }
        out.changed = true;
    }
    out.state = self->newest;
    co_return out;
}

base::Task<base::Result<ForestOutcome>> Volume::State::edit_forest(State* self, ForestEditor* editor, ForestCheck check,
                                                                   past::Wait wait) {
    const auto turn = co_await self->turn.acquire();
    base::Error last{base::Errc::busy};
    std::uint64_t held = 0;  // generation under which all that the editor names was touched
    // Who looks at paths only trusts what it knows, once: whoever got in between makes it a conflict.
    bool known = check == ForestCheck::paths && self->newest.sequence > 0 && !self->unconfirmed;
    for (unsigned attempt = 0; attempt < self->config.commit_attempts; ++attempt) {
        if (!known) {
            BASE_CO_TRY(const auto exists, co_await read_newest(self));
            if (!exists) co_return base::Error{Errc::no_such_volume, self->name};
        }
        const bool first = std::exchange(known, false);
        if (attempt >= kLossesBeforeTurn) BASE_CO_CHECK(co_await ask_for_turn(self));
        BASE_CO_CHECK(co_await leave_turn(self));
        auto done = co_await edit_once(self, editor, check, wait, &held);
        if (done) co_return done;
        last = done.error();
        // A conflict is progress of somebody else's. After an unknown outcome the next round finds the edit done, or
        // does it; but a network that stays away is told to the caller.
        const bool damaged = last == Errc::damaged && check == ForestCheck::paths;
        if (damaged) check = ForestCheck::whole;
        const bool again = last == past::Errc::conflict || damaged || (unknown_outcome(last) && attempt < 3);
        if (!again) co_return last;
        if (!first && !damaged) co_await back_off(self, attempt);
    }
    co_return base::Error{base::Errc::busy, "volume " + self->name + " is being written by too many others"};
}

// Where a commit takes longer than others take from one to the next it would lose for ever. To ask is quick: it is a
// state with nothing new in it.
base::Task<base::Result<void>> Volume::State::ask_for_turn(State* self) {
    constexpr unsigned kTries = 10;
    for (unsigned i = 0; i < kTries && self->newest.turn == 0; ++i) {
        Notice notice;
        notice.turn = self->writer_number;
        const auto asked = co_await publish_notice(self, notice);
        if (!asked) BASE_CO_CHECK(co_await read_newest(self));
    }
    co_return base::ok();
}

// Who asked and died costs the others this once.
base::Task<base::Result<void>> Volume::State::leave_turn(State* self) {
    constexpr std::chrono::seconds kTurn{3};
    constexpr std::chrono::milliseconds kLook{50};
    auto& clock = self->env.clock;
    const auto until = clock.now() + kTurn;
    const auto sequence = self->newest.sequence;
    const auto turn = self->newest.turn;
    if (turn == 0 || turn == self->writer_number) co_return base::ok();
    while (self->newest.sequence == sequence && clock.now() < until) {
        co_await clock.sleep_for(kLook);
        BASE_CO_CHECK(co_await read_newest(self));
    }
    co_return base::ok();
}

// Hosts that lose a race try again after a random while that grows: of n at once one gets through each round.
base::Task<void> Volume::State::back_off(State* self, unsigned attempt) {
    const std::uint64_t most_ms = std::uint64_t{10} << std::min(attempt, 7U);
    return self->env.clock.sleep_for(std::chrono::milliseconds{1 + self->env.rng.below(most_ms)});
}

}  // namespace objstore
