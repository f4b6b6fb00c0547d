CREATE TABLE message (
        id integer primary key,
        sent_at integer not null,
        text text not null
    );
CREATE TABLE lease (
        id integer primary key,
        visible_at integer not null,
        receive_count integer not null
    );
CREATE INDEX lease_visible on lease (visible_at);
CREATE TABLE mark (id integer primary key check (id = 1), taken_up_to integer not null);
CREATE TABLE probe (id integer primary key check (id = 1), at integer not null);
insert into mark values (1, 0);
pragma user_version = 1;
