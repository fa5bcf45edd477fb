/* SPDX-License-Identifier: MIT */
/* WTime: the wall clock and the calendar, as libc knows them, in the interface's types. */
#include <middl/WTime.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "types/heap_use.h"
#include "types/modules.h"

#define NO_TIME UINT32_MAX

static int16_t get_time_of_day(WTime_clp self, WTime_TimeVal *tval)
{
    struct timespec now;

    (void)self;
    if (clock_gettime(CLOCK_REALTIME, &now) || now.tv_sec < 0 || now.tv_sec > UINT32_MAX)
        return -1;
    tval->tv_sec = (uint32_t)now.tv_sec;
    tval->tv_usec = (uint32_t)(now.tv_nsec / 1000);
    return 0;
}

static struct tm libc_tm(const WTime_TM *tm)
{
    return (struct tm){.tm_sec = tm->tm_sec,
                       .tm_min = tm->tm_min,
                       .tm_hour = tm->tm_hour,
                       .tm_mday = tm->tm_mday,
                       .tm_mon = tm->tm_mon,
                       .tm_year = tm->tm_year,
                       .tm_wday = tm->tm_wday,
                       .tm_yday = tm->tm_yday,
                       .tm_isdst = tm->tm_isdst};
}

/* All but the name of the zone. Times that fit in 32 bits have years that fit in 16. */
static void set_tm(WTime_TM *tm, const struct tm *from)
{
    tm->tm_sec = (int16_t)from->tm_sec;
    tm->tm_min = (int16_t)from->tm_min;
    tm->tm_hour = (int16_t)from->tm_hour;
    tm->tm_mday = (int16_t)from->tm_mday;
    tm->tm_mon = (int16_t)from->tm_mon;
    tm->tm_year = (int16_t)from->tm_year;
    tm->tm_wday = (int16_t)from->tm_wday;
    tm->tm_yday = (int16_t)from->tm_yday;
    tm->tm_isdst = (int16_t)from->tm_isdst;
    tm->tm_gmtoff = (int32_t)from->tm_gmtoff;
}

static WTime_Time_T mk_time(WTime_clp self, WTime_TM *tmptr)
{
    struct tm tm = libc_tm(tmptr);
    time_t time = mktime(&tm);

    (void)self;
    if (time < 0 || time >= NO_TIME)
        return NO_TIME;
    set_tm(tmptr, &tm);
    return (WTime_Time_T)time;
}

static const char *name_at(const char *const names[], int count, int at)
{
    return at >= 0 && at < count ? names[at] : "???";
}

static const char *asc_time(WTime_clp self, const WTime_TM *tmptr)
{
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    char text[80];
    int length = snprintf(text, sizeof(text), "%s %s %2d %02d:%02d:%02d %d\n",
                          name_at(days, 7, tmptr->tm_wday), name_at(months, 12, tmptr->tm_mon),
                          tmptr->tm_mday, tmptr->tm_hour, tmptr->tm_min, tmptr->tm_sec,
                          1900 + tmptr->tm_year);

    (void)self;
    return mbr__heap_text(NULL, text, (size_t)length);
}

/* A record of the caller's, with a name of the zone that is its too. */
static WTime_TM *new_tm(const struct tm *from)
{
    WTime_TM *tm = mbr__heap_need(NULL, sizeof(*tm));
    const char *zone = from->tm_zone ? from->tm_zone : "";
    size_t size = strlen(zone) + 1;
    char *copy = mbr__heap_try(NULL, size);

    if (!copy) {
        mbr__heap_free(NULL, tm);
        RAISE(Heap_NoMemory);
    }
    memcpy(copy, zone, size);
    set_tm(tm, from);
    tm->tm_zone = copy;
    return tm;
}

/* Every time that fits in 32 bits has a date, so that libc's functions cannot fail. */
static WTime_TM *local_time(WTime_clp self, WTime_Time_T time)
{
    time_t seconds = (time_t)time;
    struct tm tm = {.tm_year = 0};

    (void)self;
    tzset();
    localtime_r(&seconds, &tm);
    return new_tm(&tm);
}

static const char *c_time(WTime_clp self, WTime_Time_T time)
{
    time_t seconds = (time_t)time;
    struct tm tm = {.tm_year = 0};
    WTime_TM broken_down;

    tzset();
    localtime_r(&seconds, &tm);
    set_tm(&broken_down, &tm);
    return asc_time(self, &broken_down);
}

static WTime_TM *gm_time(WTime_clp self, WTime_Time_T time)
{
    time_t seconds = (time_t)time;
    struct tm tm = {.tm_year = 0};

    (void)self;
    gmtime_r(&seconds, &tm);
    return new_tm(&tm);
}

static bool is_leap(uint32_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static bool is_date(uint32_t mday, uint32_t mon, uint32_t year)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    if (mon < 1 || mon > 12 || mday < 1 || year < 1)
        return false;
    return mday <= days[mon - 1] + (uint32_t)(mon == 2 && is_leap(year));
}

/* Days from 1 January of the year 1 to a date of the Gregorian calendar. */
static int64_t days_before(uint32_t mday, uint32_t mon, uint32_t year)
{
    static const uint16_t before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    int64_t y = (int64_t)year - 1;

    return y * 365 + y / 4 - y / 100 + y / 400 + before[mon - 1] +
           (int64_t)(mon > 2 && is_leap(year)) + mday - 1;
}

static int32_t day_of_week(WTime_clp self, uint16_t mday, uint16_t mon, uint16_t year)
{
    (void)self;
    /* The year 1 began with a Monday. */
    return is_date(mday, mon, year) ? (int32_t)((days_before(mday, mon, year) + 1) % 7) : -1;
}

static WTime_Time_T make_time(WTime_clp self, uint16_t mday, uint16_t mon, uint16_t year,
                              uint16_t hour, uint16_t min, uint16_t sec)
{
    int64_t time;

    (void)self;
    if (!is_date(mday, mon, year) || hour > 23 || min > 59 || sec > 61)
        return NO_TIME;
    time = (days_before(mday, mon, year) - days_before(1, 1, 1970)) * 86400 + INT64_C(3600) * hour +
           INT64_C(60) * min + sec;
    return time >= 0 && time < NO_TIME ? (WTime_Time_T)time : NO_TIME;
}

static const WTime_op wtime_op = {.GetTimeOfDay = get_time_of_day,
                                  .MkTime = mk_time,
                                  .AscTime = asc_time,
                                  .LocalTime = local_time,
                                  .CTime = c_time,
                                  .GMTime = gm_time,
                                  .DayOfWeek = day_of_week,
                                  .MakeTime = make_time};

WTime_cl mbr__module_WTime = {&wtime_op, NULL};
